import assert from 'node:assert/strict';
import fc from 'fast-check';
import { groupBy } from '../../../src/base/groupBy.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import { type Options, optionsOf, type PlanInput } from '../../../src/model/plan/planOptions.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import { bestLevel } from '../../../src/model/sharing/bestLevel.ts';
import { chooseGroups } from '../../../src/model/sharing/chooseGroups.ts';
import { type PossibleGroup, possibleGroups, type Sharer } from '../../../src/model/sharing/possibleGroups.ts';

const CHECKPOINT = { path: 'a', format: 'safetensors', parameters: 1e6, bytes: 4e6 };
const SHARE = { inputs: true, layers: 3 };

const sharer = (layer: number, module: string, role: Sharer['role'], m = 8): Sharer => ({
  name: `${layer}.${module}`,
  layer,
  module,
  role,
  expert: null,
  shape: [m, 8],
  dtype: 'F32',
  transposed: false,
});
const layersOf = (count: number) =>
  Array.from({ length: count }, (_, layer) => [
    sharer(layer, 'attn.q', 'query'),
    sharer(layer, 'attn.k', 'key', 4),
    sharer(layer, 'attn.o', 'output'),
  ]).flat();

/** A spectrum that falls at a random rate. */
function spectrum(size: number, random: () => number): number[] {
  const rate = 0.5 + 0.5 * random();
  return Array.from({ length: size }, (_, i) => rate ** i);
}

/** A plan's matrices and families with random spectra: groups lose about as much as their matrices, or less. */
function randomFamilies(seed: number, count: number) {
  const random = seededRandom(seed);
  const sharers = layersOf(count);
  const inputs: PlanInput[] = sharers.map(({ name, shape }) => ({
    name,
    shape,
    bytesPerElement: 4,
    singularValues: spectrum(Math.min(...shape), random.uniform),
  }));
  const shapes = new Map(sharers.map(({ name, shape }) => [name, shape]));
  const families = possibleGroups(sharers, SHARE).map((family) => ({
    ...family,
    spectra: new Map(
      family.groups.map(({ name, members }) => {
        const m = members.reduce((sum, each) => sum + shapes.get(each)![0], 0);
        return [name, { singularValues: spectrum(Math.min(m, 8), random.uniform) }] as const;
      }),
    ),
  }));
  return { inputs, families };
}

describe('groups that may share a factor', () => {
  it('are neighbouring layers of a module, and modules of a layer that read the same inputs', () => {
    const names = possibleGroups(layersOf(2), { inputs: true, layers: 2 })
      .flatMap(({ groups }) => groups)
      .map(({ name, members }) => `${name}: ${members.join(' ')}`);
    assert.deepEqual(names.sort(), [
      'Layer 0, attn.{q, k}: 0.attn.q 0.attn.k',
      'Layer 1, attn.{q, k}: 1.attn.q 1.attn.k',
      'Layers 0-1, attn.k: 0.attn.k 1.attn.k',
      'Layers 0-1, attn.o: 0.attn.o 1.attn.o',
      'Layers 0-1, attn.q: 0.attn.q 1.attn.q',
      'Layers 0-1, attn.{q, k}: 0.attn.q 0.attn.k 1.attn.q 1.attn.k',
    ]);
  });

  it('leave out what cannot share: experts, other types, other numbers of inputs, and what is missing', () => {
    const q = sharer(0, 'attn.q', 'query');
    const others: Sharer[] = [
      { ...sharer(0, 'attn.k', 'key'), dtype: 'BF16' },
      { ...sharer(1, 'attn.q', 'query'), shape: [8, 6] },
      { ...sharer(1, 'attn.k', 'key'), expert: 1 },
      { ...sharer(2, 'attn.q', 'query'), transposed: true },
      { ...sharer(0, 'attn.v', 'value'), layer: null },
    ];
    for (const other of others) assert.deepEqual(possibleGroups([q, other], SHARE), []);
    const neighbours = possibleGroups([q, sharer(1, 'attn.q', 'query')], { inputs: true, layers: 1 });
    assert.deepEqual(neighbours, []);
  });
});

describe('the choice of groups', () => {
  it('is the cheapest of all coverings at any price', () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: 0.01, max: 3, noNaN: true }), (seed, price) => {
        const { inputs, families } = randomFamilies(seed, 3);
        const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 } } as const;
        const single = new Map(inputs.map((input) => [input.name, optionsOf(input, request)]));
        for (const family of families) {
          const shared = new Map<string, Options>();
          for (const { name, members } of family.groups) {
            const m = members.reduce((sum, each) => sum + single.get(each)!.input.shape[0], 0);
            const input = {
              name,
              shape: [m, 8] as const,
              bytesPerElement: 4,
              ...family.spectra.get(name)!,
            };
            shared.set(name, optionsOf(input, request));
          }
          const names = family.cells.flat().map((name) => name!);
          const costOf = (groups: readonly PossibleGroup[]) => {
            const inside = new Set(groups.flatMap(({ members }) => members));
            const apart = names.filter((name) => !inside.has(name));
            return [...groups.map(({ name }) => shared.get(name)!), ...apart.map((name) => single.get(name)!)].reduce(
              (sum, options) => sum + bestLevel(options, price).cost,
              0,
            );
          };
          // Every set of groups that do not overlap.
          const all: PossibleGroup[][] = [[]];
          for (const group of family.groups)
            for (const known of [...all])
              if (!known.some(({ members }) => members.some((each) => group.members.includes(each))))
                all.push([...known, group]);
          const least = Math.min(...all.map(costOf));
          const chosen = chooseGroups(family, single, shared, price);
          assert.equal(new Set(chosen.flatMap(({ members }) => members)).size, chosen.flatMap((g) => g.members).length);
          assert.ok(costOf(chosen) <= least + 1e-9, `${costOf(chosen)} instead of ${least}`);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('a plan with shared factors', () => {
  const budgets: PlanRequest['budget'][] = [
    { kind: 'keep', value: 0.6 },
    { kind: 'error', value: 0.3 },
  ];
  for (const budget of budgets)
    it(`is never worse than independent factors at the same ${budget.kind}, and counts a shared factor once`, () => {
      let better = 0;
      for (let seed = 1; seed <= 40; seed++) {
        const { inputs, families } = randomFamilies(seed, 4);
        const request: PlanRequest = { ...PLAN_DEFAULTS, budget };
        const apart = makePlan(CHECKPOINT, inputs, request);
        const plan = makePlan(CHECKPOINT, inputs, { ...request, share: SHARE }, families);
        const [cost, least] = [plan, apart].map(({ totals }) =>
          budget.kind === 'keep' ? totals.error : totals.parametersAfter,
        ) as [number, number];
        assert.ok(cost <= least + 1e-12, `${cost} instead of ${least}`);
        if (cost < least - 1e-9) better++;
        if (budget.kind === 'keep') assert.ok(plan.totals.keptShare <= budget.value);

        const groups = groupBy(plan.matrices, ({ shared }) => shared ?? '');
        let parameters = 0;
        for (const [name, members] of groups) {
          const [{ rank, shape }] = members as [(typeof members)[0]];
          for (const each of members) {
            if (name !== '') assert.equal(each.rank, rank);
            const [m, n] = each.shape;
            if (name === '') parameters += each.rank === null ? m * n : each.rank * (m + n);
            else parameters += each.rank! * m;
          }
          if (name !== '') parameters += rank! * shape[1];
        }
        assert.equal(plan.totals.parametersAfter, parameters);
        assert.equal(
          plan.matrices.reduce((sum, { parametersAfter }) => sum + parametersAfter, 0),
          parameters,
        );
      }
      assert.ok(better > 10, `${better}`);
    });

  it('leaves alone what is set by hand or excluded', () => {
    const { inputs, families } = randomFamilies(3, 4);
    const request: PlanRequest = {
      ...PLAN_DEFAULTS,
      budget: { kind: 'keep', value: 0.5 },
      share: SHARE,
      overrides: { '1.attn.q': 2 },
      exclude: ['2.attn.o'],
    };
    const { matrices } = makePlan(CHECKPOINT, inputs, request, families);
    const of = (name: string) => matrices.find((each) => each.name === name)!;
    assert.deepEqual([of('1.attn.q').rank, of('1.attn.q').shared], [2, undefined]);
    assert.deepEqual([of('2.attn.o').rank, of('2.attn.o').shared], [null, undefined]);
  });

  it('is refused where nothing could come of it', () => {
    const wrong: Partial<PlanRequest>[] = [
      { factors: 3 },
      { budget: { kind: 'rank', value: 2 } },
      { spread: 'uniform' },
      { share: { inputs: true, layers: 0 } },
    ];
    for (const change of wrong)
      assert.throws(
        () =>
          makePlan(CHECKPOINT, [], { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 }, share: SHARE, ...change }),
        /shared factors/,
      );
  });
});
