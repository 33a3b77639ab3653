import assert from 'node:assert/strict';
import fc from 'fast-check';
import { breakEvenRank } from '../../../src/base/shape.ts';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import { filledIn } from '../../../src/model/plan/fillIn.ts';
import { inputNotes, onInputs } from '../../../src/model/plan/onInputs.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import type { Sensitivities, Sensitivity } from '../../../src/model/plan/sensitivities.ts';

const CHECKPOINT = { path: 'a.safetensors', format: 'safetensors', parameters: 1, bytes: 4 };
const REQUEST: PlanRequest = {
  budget: { kind: 'keep', value: 0.8 },
  spread: 'loss',
  multiple: 1,
  exclude: [],
  overrides: {},
  factors: 2,
};

interface Measured extends Sensitivity {
  readonly shape: readonly [number, number];
}

const INPUTS = { kind: 'full', text: 'wiki.txt', tokens: 4096 } as const;

function planOf(list: readonly Measured[], request: Partial<PlanRequest> = {}): Plan {
  const whole = { ...REQUEST, ...request };
  const candidates = list.map(({ name, shape }) => ({ name, shape, bytesPerElement: 4 }));
  const matrices = list.map(({ shape: _, ...sensitivity }) => sensitivity);
  return makePlan(CHECKPOINT, onInputs(candidates, { inputs: INPUTS, matrices }, whole), whole);
}

/** Energies of W X, as many as the smaller side; a power law with some noise. */
const measured = fc
  .record({
    m: fc.integer({ min: 8, max: 40 }),
    n: fc.integer({ min: 8, max: 40 }),
    exponent: fc.double({ min: 0, max: 1.5, noNaN: true }),
    scale: fc.double({ min: 0.01, max: 100, noNaN: true }),
    divergence: fc.double({ min: 1e-4, max: 10, noNaN: true }),
  })
  .map(({ m, n, exponent, scale, divergence }) => {
    const values = Array.from({ length: Math.min(m, n) }, (_, k) => scale * (k + 1) ** -exponent);
    const kept = breakEvenRank(m, n);
    const energy = (some: readonly number[]) => some.reduceRight((sum, value) => sum + value * value, 0);
    const rank = Math.max(1, Math.floor(0.1 * kept));
    return {
      shape: [m, n] as const,
      tokens: 4096,
      singularValues: values.slice(0, kept),
      rest: energy(values.slice(kept)),
      divergence: { value: divergence, rank, tail: energy(values.slice(rank)), from: 'matrix' as const },
    };
  });
const models = fc
  .array(measured, { minLength: 16, maxLength: 40 })
  .map((list) => list.map((each, k): Measured => ({ name: `m${k}`, ...each })));

/**
 * The allocation of the reference, step by step: points of all ranks and of the dense matrix, their lower convex hull,
 * then the steepest step of any matrix; one that does not fit ends its matrix, and the others go on.
 */
function reference(list: readonly Measured[], keep: number, floor: number): (number | null)[] {
  type Point = readonly [size: number, error: number, rank: number | null];
  const hulls = list.map(({ shape: [m, n], singularValues, rest, divergence }) => {
    const most = breakEvenRank(m, n);
    const tail = (rank: number) => singularValues.slice(rank).reduceRight((sum, value) => sum + value * value, rest);
    const weight = divergence!.value / divergence!.tail;
    const points: Point[] = [];
    for (let rank = Math.max(1, Math.floor(floor * most)); rank <= most; rank++)
      points.push([rank * (m + n), tail(rank) * weight, rank]);
    points.push([m * n, 0, null]);
    const hull: Point[] = [];
    for (const point of points) {
      for (; hull.length >= 2; hull.pop()) {
        const [a, b] = [hull.at(-2)!, hull.at(-1)!];
        if ((b[1] - a[1]) * (point[0] - a[0]) < (point[1] - a[1]) * (b[0] - a[0])) break;
      }
      hull.push(point);
    }
    return hull;
  });
  const limit = keep * list.reduce((sum, { shape: [m, n] }) => sum + m * n, 0);
  const at = hulls.map(() => 0);
  let used = hulls.reduce((sum, [first]) => sum + first![0], 0);
  const open = new Set(hulls.keys());
  const slope = (k: number) => {
    const [before, after] = [hulls[k]![at[k]!]!, hulls[k]![at[k]! + 1]];
    return after ? (after[1] - before[1]) / (after[0] - before[0]) : Number.POSITIVE_INFINITY;
  };
  while (open.size > 0) {
    const k = [...open].reduce((best, each) => (slope(each) < slope(best) ? each : best));
    const next = hulls[k]![at[k]! + 1];
    const cost = next ? next[0] - hulls[k]![at[k]!]![0] : 0;
    if (!next || used + cost > limit) {
      open.delete(k);
      continue;
    }
    used += cost;
    at[k]!++;
  }
  return hulls.map((hull, k) => hull[at[k]!]![2]);
}

describe('a plan by loss', () => {
  it('has the ranks of the reference, which goes on with other matrices where a step does not fit', () => {
    let worthIt = 0;
    fc.assert(
      fc.property(models, fc.constantFrom(0.95, 0.9, 0.8, 0.7, 0.6), (list, value) => {
        const own = planOf(list, { budget: { kind: 'keep', value } });
        const expected = reference(list, value, 0.3);
        const spare = value * own.totals.parametersBefore - sizeOf(list, expected);
        // With few matrices much may be left, of which this plan takes parts of steps.
        if (spare > 0.01 * value * own.totals.parametersBefore) return;
        worthIt++;
        assert.deepEqual(
          own.matrices.map(({ rank }) => rank),
          expected,
        );
      }),
      { seed: 11, numRuns: 300 },
    );
    assert.ok(worthIt > 150, `${worthIt}`);
  });

  it('spends what is left of a budget where a single step remains', () => {
    const flat: Measured = {
      name: 'flat',
      shape: [40, 40],
      tokens: 100,
      singularValues: new Array(20).fill(1),
      rest: 20,
      divergence: { value: 1, rank: 2, tail: 38, from: 'matrix' },
    };
    const { matrices, totals } = planOf([flat], { budget: { kind: 'keep', value: 0.8 } });
    assert.equal(matrices[0]!.rank, 16);
    assert.ok(totals.keptShare <= 0.8);
  });

  it('keeps the floor, and says which smallest size it allows', () => {
    fc.assert(
      fc.property(models, fc.constantFrom(undefined, 0, 0.5), fc.constantFrom(1, 4), (list, floor, multiple) => {
        const made = planOf(list, {
          ...(floor === undefined ? {} : { floor }),
          multiple,
          budget: { kind: 'keep', value: 0.6 },
        });
        for (const { rank, shape } of made.matrices)
          if (rank !== null) assert.ok(rank >= Math.floor((floor ?? 0.3) * breakEvenRank(...shape)));
      }),
      { seed: 12, numRuns: 100 },
    );
    const [list] = fc.sample(models, { seed: 13, numRuns: 1 });
    const { unmet, totals } = planOf(list!, { budget: { kind: 'keep', value: 0.1 } });
    assert.match(unmet!, /smallest plan keeps .*lower floor/);
    assert.ok(totals.keptShare < 0.4, `${totals.keptShare}`);
    assert.equal(planOf(list!, { budget: { kind: 'rank', value: 1 } }).matrices[0]!.rank, 1);
  });

  it('leaves dense what the text says nothing about, with the reason, and counts it nowhere', () => {
    const [list] = fc.sample(models, { seed: 14, numRuns: 1 });
    const [first, second, ...others] = list!;
    const unreached = { ...first!, tokens: 0, singularValues: [], rest: 0 };
    const whole = [unreached, ...others];
    const made = makePlan(
      CHECKPOINT,
      onInputs(
        [...whole, second!].map(({ name, shape }) => ({ name, shape, bytesPerElement: 4 })),
        { inputs: INPUTS, matrices: whole.map(({ shape: _, ...each }) => each) },
        REQUEST,
      ),
      REQUEST,
    );
    const reasonOf = (name: string) => made.matrices.find((each) => each.name === name)!.reason;
    assert.match(reasonOf(first!.name)!, /no token of the text reached it/);
    assert.match(reasonOf(second!.name)!, /no text says/);
    const size = others.reduce((sum, { shape: [m, n] }) => sum + m * n, 0);
    assert.equal(made.totals.parametersBefore, size);
  });

  it('measures errors as those of W X, whatever weighs them', () => {
    const [list] = fc.sample(models, { seed: 15, numRuns: 1 });
    for (const { name, rank, error } of planOf(list!).matrices) {
      const { singularValues, rest } = list!.find((each) => each.name === name)!;
      const energy = (from: number) => singularValues.slice(from).reduce((sum, value) => sum + value ** 2, rest);
      const expected = rank === null ? 0 : Math.sqrt(energy(rank) / energy(0));
      assert.ok(Math.abs(error - expected) < 1e-9, name);
    }
  });

  it('meets an error or an energy of W X', () => {
    const [list] = fc.sample(models, { seed: 16, numRuns: 1 });
    for (const spread of ['activations', 'loss'] as const) {
      const byError = planOf(list!, { spread, budget: { kind: 'error', value: 0.4 } });
      assert.ok(byError.totals.error <= 0.4 + 1e-9 && byError.totals.error > 0.3, `${byError.totals.error}`);
      const byEnergy = planOf(list!, { spread, budget: { kind: 'energy', value: 0.6 } });
      for (const { error } of byEnergy.matrices) assert.ok(error ** 2 <= 0.4 + 1e-9);
      assert.ok(byEnergy.matrices.some(({ rank }) => rank !== null));
    }
  });
});

function sizeOf(list: readonly Measured[], ranks: readonly (number | null)[]): number {
  return list.reduce((sum, { shape: [m, n] }, k) => sum + (ranks[k] === null ? m * n : ranks[k]! * (m + n)), 0);
}

describe('divergences that are filled in', () => {
  it('are geometric between the layers that are known, and those of the nearest beyond them', () => {
    const known = [
      { layer: 8, value: 16 },
      { layer: 0, value: 1 },
      { layer: 4, value: 1 },
    ];
    for (const [layer, value] of [
      [0, 1],
      [2, 1],
      [4, 1],
      [5, 2],
      [6, 4],
      [8, 16],
      [20, 16],
    ] as const)
      assert.ok(Math.abs(filledIn(known, layer)! - value) < 1e-12, `${layer}`);
    assert.equal(filledIn([{ layer: 3, value: 2 }], 0), 2);
    assert.equal(filledIn([], 0), undefined);
  });
});

describe('notes about a text', () => {
  const [list] = fc.sample(models, { seed: 17, numRuns: 1 });
  const columns = new Map(list!.map(({ name, shape }) => [name, shape[1]]));
  const sensitivities = (tokens: number, filledIn: number): Sensitivities => ({
    inputs: { ...INPUTS, tokens },
    divergences: { text: 'wiki.txt', tokens: 1024, measured: list!.length - filledIn, filledIn, seconds: 1 },
    matrices: list!.map(({ shape: _, ...each }) => ({ ...each, tokens })),
  });

  it('warn of fewer tokens than columns, and of divergences that were filled in', () => {
    assert.deepEqual(inputNotes(sensitivities(4096, 0), columns), []);
    const [short, filled] = inputNotes(sensitivities(7, 3), columns);
    assert.match(short!, /fewer tokens of wiki\.txt \(7\) than they have columns \(up to \d+\)/);
    assert.match(filled!, new RegExp(`${list!.length - 3} of ${list!.length} matrices`));
  });
});
