import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RankscopeError } from '../../../src/base/errors.ts';
import { breakEvenRank, factorParameters } from '../../../src/base/shape.ts';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import type { Plan, PlanRequest, Spread } from '../../../src/model/plan/plan.ts';
import type { PlanInput } from '../../../src/model/plan/planOptions.ts';
import { lostShare, tailEnergies } from '../../../src/model/plan/rankCost.ts';

const CHECKPOINT = { path: 'a.safetensors', format: 'safetensors', parameters: 1, bytes: 4 };
const REQUEST: PlanRequest = {
  budget: { kind: 'keep', value: 0.5 },
  spread: 'optimal',
  multiple: 1,
  exclude: [],
  overrides: {},
  factors: 2,
};
const SPREADS: readonly Spread[] = ['optimal', 'uniform', 'energy'];

const plan = (matrices: readonly PlanInput[], request: Partial<PlanRequest> = {}): Plan =>
  makePlan(CHECKPOINT, matrices, { ...REQUEST, ...request });

/** A matrix with a power-law spectrum. */
const powerLaw = (name: string, m: number, n: number, exponent: number, scale = 1): PlanInput => ({
  name,
  shape: [m, n],
  bytesPerElement: 4,
  singularValues: Float64Array.from({ length: Math.min(m, n) }, (_, k) => scale * (k + 1) ** -exponent),
});

const matrix = fc
  .record({
    m: fc.integer({ min: 1, max: 24 }),
    n: fc.integer({ min: 1, max: 24 }),
    seedValues: fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 24, maxLength: 24 }),
    flat: fc.boolean(),
  })
  .map(({ m, n, seedValues, flat }) => ({
    shape: [m, n] as const,
    bytesPerElement: 4,
    singularValues: (flat ? seedValues.map(() => seedValues[0]!) : [...seedValues])
      .slice(0, Math.min(m, n))
      .sort((a, b) => b - a),
  }));
const matrices = fc
  .array(matrix, { minLength: 1, maxLength: 6 })
  .map((list) => list.map((item, k): PlanInput => ({ name: `m${k}`, ...item })));
const multiple = fc.constantFrom(1, 2, 3);
const factors = fc.constantFrom<2 | 3>(2, 3);
const share = fc.double({ min: 0.01, max: 1, noNaN: true });
const ROOM = 1 + 1e-9;

describe('a plan', () => {
  it('never exceeds a size budget, or is the smallest possible plan and says so', () => {
    fc.assert(
      fc.property(
        matrices,
        multiple,
        factors,
        share,
        fc.constantFrom(...SPREADS),
        (list, step, count, value, spread) => {
          const { totals, unmet } = plan(list, {
            budget: { kind: 'keep', value },
            multiple: step,
            factors: count,
            spread,
          });
          const smallest = list.reduce((sum, { shape: [m, n] }) => {
            const least = factorParameters(m, n, step, count);
            return sum + Math.min(m * n, least);
          }, 0);
          if (unmet === undefined) assert.ok(totals.parametersAfter <= value * totals.parametersBefore * ROOM);
          else assert.equal(totals.parametersAfter, smallest);
          assert.equal(unmet !== undefined, smallest > value * totals.parametersBefore * ROOM);
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  it('always keeps the requested error or energy', () => {
    fc.assert(
      fc.property(matrices, multiple, share, fc.constantFrom(...SPREADS), (list, step, value, spread) => {
        const request = { multiple: step, spread };
        const byError = plan(list, { ...request, budget: { kind: 'error', value: 1 - value } });
        assert.ok(byError.totals.error <= (1 - value) * ROOM + 1e-12);
        assert.equal(byError.unmet, undefined);
        const byEnergy = plan(list, { ...request, budget: { kind: 'energy', value } });
        for (const { error } of byEnergy.matrices) assert.ok(1 - error ** 2 >= value - 1e-9);
      }),
      { seed: 2, numRuns: 300 },
    );
  });

  it('has only ranks that are multiples and save parameters, and says why a matrix stays dense', () => {
    fc.assert(
      fc.property(
        matrices,
        multiple,
        factors,
        share,
        fc.constantFrom(...SPREADS),
        (list, step, count, value, spread) => {
          for (const kind of ['keep', 'error', 'energy'] as const) {
            const budget = { kind, value: kind === 'error' ? 1 - value : value };
            for (const found of plan(list, { budget, multiple: step, factors: count, spread }).matrices) {
              const [m, n] = found.shape;
              if (found.rank === null) {
                assert.ok(found.reason);
                assert.equal(found.parametersAfter, m * n);
                assert.equal(found.error, 0);
                continue;
              }
              assert.equal(found.rank % step, 0);
              assert.ok(found.rank >= step && found.rank <= breakEvenRank(m, n, count));
              assert.equal(found.parametersAfter, factorParameters(m, n, found.rank, count));
              assert.ok(found.parametersAfter < m * n);
            }
          }
        },
      ),
      { seed: 3, numRuns: 200 },
    );
  });

  it('predicts each error, and their mean square weighted by size, from the spectra', () => {
    fc.assert(
      fc.property(matrices, share, (list, value) => {
        const { matrices: found, totals } = plan(list, { budget: { kind: 'keep', value } });
        let lost = 0;
        let whole = 0;
        for (const [k, { rank, error }] of found.entries()) {
          const { singularValues } = list[k]!;
          const energy = Array.from(singularValues).reduce((sum, sigma) => sum + sigma ** 2, 0);
          const expected = rank === null ? 0 : Math.sqrt(lostShare(tailEnergies(singularValues), rank));
          assert.ok(Math.abs(error - expected) < 1e-12);
          const size = energy > 0 ? list[k]!.shape[0] * list[k]!.shape[1] : 0;
          whole += size;
          lost += size * expected ** 2;
        }
        assert.ok(Math.abs(totals.error - (whole > 0 ? Math.sqrt(lost / whole) : 0)) < 1e-9);
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  it('never has a larger error for a larger size, nor a larger size for a larger error', () => {
    fc.assert(
      fc.property(matrices, multiple, share, share, fc.constantFrom(...SPREADS), (list, step, a, b, spread) => {
        const request = { multiple: step, spread };
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const bySize = (value: number) => plan(list, { ...request, budget: { kind: 'keep', value } }).totals;
        assert.ok(bySize(high).error <= bySize(low).error * ROOM);
        const byError = (value: number) =>
          plan(list, { ...request, budget: { kind: 'error', value: value / 1.01 } }).totals;
        assert.ok(byError(high).parametersAfter <= byError(low).parametersAfter);
      }),
      { seed: 5, numRuns: 300 },
    );
  });

  it('has no larger error when optimal than when uniform or by energy, at the same budget', () => {
    fc.assert(
      fc.property(matrices, multiple, share, (list, step, value) => {
        const of = (spread: Spread, kind: 'keep' | 'error') =>
          plan(list, { budget: { kind, value: kind === 'keep' ? value : value / 1.01 }, multiple: step, spread })
            .totals;
        for (const other of ['uniform', 'energy'] as const) {
          assert.ok(of('optimal', 'keep').error <= of(other, 'keep').error * ROOM);
          assert.ok(of('optimal', 'error').parametersAfter <= of(other, 'error').parametersAfter);
        }
      }),
      { seed: 6, numRuns: 300 },
    );
  });

  it('has a clearly smaller error when optimal than the others if matrices differ', () => {
    const list = [powerLaw('steep', 256, 256, 2), powerLaw('flat', 256, 256, 0.3), powerLaw('middle', 256, 256, 0.9)];
    const error = (spread: Spread) => plan(list, { spread }).totals.error;
    assert.ok(error('optimal') < error('uniform') / 2, `${error('optimal')} ${error('uniform')}`);
    assert.ok(error('optimal') < error('energy') / 1.1, `${error('optimal')} ${error('energy')}`);
  });

  it('does not depend on the norms of matrices: those with small norms are not sacrificed', () => {
    const ranks = (scale: number) =>
      plan([powerLaw('a', 64, 64, 0.8), powerLaw('b', 64, 96, 0.8, scale), powerLaw('c', 64, 64, 0.5)]).matrices.map(
        ({ rank }) => rank,
      );
    assert.deepEqual(ranks(1e-3), ranks(1));
    assert.deepEqual(ranks(1e3), ranks(1));
  });
});

describe('the optimal plan, compared with every possible choice', () => {
  /** What a matrix's energy counts for: its number of elements, or nothing for a zero matrix. */
  const countedEnergy = ({ shape: [m, n], singularValues }: Pick<PlanInput, 'shape' | 'singularValues'>) =>
    singularValues[0]! > 0 ? m * n : 0;
  const wholeOf = (list: readonly PlanInput[]) => list.reduce((sum, input) => sum + countedEnergy(input), 0);

  /** [parameters, summed squared error] of all choices. */
  function allChoices(list: readonly PlanInput[], step: number): [number, number][] {
    let totals: [number, number][] = [[0, 0]];
    for (const {
      shape: [m, n],
      singularValues,
    } of list) {
      const options: [number, number][] = [[m * n, 0]];
      for (let rank = step; factorParameters(m, n, rank) < m * n; rank += step) {
        const lost = countedEnergy({ shape: [m, n], singularValues }) * lostShare(tailEnergies(singularValues), rank);
        options.push([factorParameters(m, n, rank), lost]);
      }
      totals = totals.flatMap(([size, lost]) => options.map(([a, b]): [number, number] => [size + a, lost + b]));
    }
    return totals.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  }

  /**
   * The corners of the lower convex hull: the sizes at which steps taken in the order of their gain are provably best.
   */
  function corners(totals: readonly [number, number][]): [number, number][] {
    const hull: [number, number][] = [];
    for (const point of totals) {
      if (hull.length > 0 && point[1] >= hull.at(-1)![1]) continue;
      while (hull.length > 1) {
        const [a, b] = [hull.at(-2)!, hull.at(-1)!];
        // Points on one line, up to rounding, are not corners.
        const turn = (b[0] - a[0]) * (point[1] - a[1]) - (point[0] - a[0]) * (b[1] - a[1]);
        if (turn > 1e-9 * (point[0] - a[0]) * a[1]) break;
        hull.pop();
      }
      hull.push(point);
    }
    return hull;
  }

  const small = fc
    .array(
      fc.record({
        m: fc.integer({ min: 3, max: 12 }),
        n: fc.integer({ min: 3, max: 12 }),
        values: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 12, maxLength: 12 }),
      }),
      { minLength: 1, maxLength: 4 },
    )
    .map((list) =>
      list.map(
        ({ m, n, values }, k): PlanInput => ({
          name: `m${k}`,
          shape: [m, n],
          bytesPerElement: 4,
          singularValues: values.slice(0, Math.min(m, n)).sort((a, b) => b - a),
        }),
      ),
    );
  const lossOf = (list: readonly PlanInput[], { totals }: Plan) => totals.error ** 2 * wholeOf(list);

  it('has the least error of all choices at each size where its steps end, and the least size for that error', () => {
    let checked = 0;
    fc.assert(
      fc.property(small, fc.constantFrom(1, 2), (list, step) => {
        const whole = list.reduce((sum, { shape: [m, n] }) => sum + m * n, 0);
        const energy = wholeOf(list);
        for (const [size, lost] of corners(allChoices(list, step))) {
          const found = plan(list, { budget: { kind: 'keep', value: size / whole }, multiple: step });
          assert.ok(
            Math.abs(lossOf(list, found) - lost) < 1e-9 * (1 + energy),
            `${lossOf(list, found)} and not ${lost}`,
          );
          if (energy === 0 || lost === energy) continue;
          const value = Math.sqrt(lost / energy) * (1 + 1e-9);
          const other = plan(list, { budget: { kind: 'error', value }, multiple: step });
          assert.equal(other.totals.parametersAfter, size);
          checked++;
        }
      }),
      { seed: 7, numRuns: 200 },
    );
    assert.ok(checked > 500, `${checked}`);
  });

  it('has no larger error between two such sizes than at the smaller one', () => {
    fc.assert(
      fc.property(small, share, (list, value) => {
        const totals = allChoices(list, 1);
        const whole = list.reduce((sum, { shape: [m, n] }) => sum + m * n, 0);
        const found = plan(list, { budget: { kind: 'keep', value } });
        const below = corners(totals)
          .filter(([size]) => size <= value * whole)
          .at(-1);
        if (below) assert.ok(lossOf(list, found) <= below[1] + 1e-9);
      }),
      { seed: 8, numRuns: 300 },
    );
  });
});

describe('what is dense by default', () => {
  const CAUTION = 'Cutting the embedding wte also cuts the head.';
  const list: readonly PlanInput[] = [
    powerLaw('q', 64, 64, 1),
    { ...powerLaw('wte', 200, 64, 1), kinds: ['embedding', 'head'], caution: CAUTION },
    { ...powerLaw('mlp.gate', 8, 64, 1), kinds: ['router'] },
    { ...powerLaw('pos', 30, 64, 1), kinds: ['position'], fixed: 'a bare parameter' },
  ];
  const whole = list.reduce((sum, { shape: [m, n] }) => sum + m * n, 1000);
  const of = (request: Partial<PlanRequest> = {}) =>
    makePlan({ ...CHECKPOINT, parameters: whole }, list, { ...REQUEST, ...request });
  const ranks = (made: Plan) => made.matrices.map(({ rank }) => rank !== null);

  it('stays dense, with the reason, and counts neither before nor after', () => {
    for (const budget of [
      { kind: 'keep', value: 0.5 },
      { kind: 'error', value: 0.3 },
      { kind: 'energy', value: 0.9 },
      { kind: 'rank', value: 4 },
    ] as const) {
      const made = of({ budget });
      assert.deepEqual(
        made.matrices.map(({ reason }) => reason),
        [
          undefined,
          'an embedding that is a head as well (tied), dense by default',
          'a router, dense by default',
          'a bare parameter',
        ],
      );
      assert.equal(made.totals.parametersBefore, 64 * 64);
      assert.equal(made.notes, undefined);
    }
  });

  it('is left out of the share that is kept, which is said beside that of the whole model', () => {
    const { totals } = of();
    const saved = totals.parametersBefore - totals.parametersAfter;
    assert.ok(totals.keptShare <= 0.5 && totals.keptShare > 0.47, `${totals.keptShare}`);
    assert.ok(Math.abs(totals.keptShareOfModel - (whole - saved) / whole) < 1e-12);
  });

  it('is cut where its kind, in the singular or plural, or its name is included', () => {
    assert.deepEqual(ranks(of({ include: ['router'], budget: { kind: 'rank', value: 2 } })), [
      true,
      false,
      true,
      false,
    ]);
    assert.deepEqual(ranks(of({ include: ['embeddings'] })), [true, true, false, false]);
    assert.deepEqual(ranks(of({ include: ['head'] })), [true, true, false, false]);
    assert.deepEqual(ranks(of({ include: ['w*'] })), [true, true, false, false]);
    assert.deepEqual(ranks(of({ include: ['embedding'], exclude: ['wte'] })), [true, false, false, false]);
  });

  it('says what else is cut with a tied matrix, however it came to be cut', () => {
    assert.deepEqual(of({ include: ['embedding'] }).notes, [CAUTION]);
    assert.deepEqual(of({ overrides: { wte: 10 } }).notes, [CAUTION]);
    assert.equal(of({ include: ['router'] }).notes, undefined);
  });

  it('follows a rank set by hand, and is still dense by default when kept dense by hand', () => {
    const made = of({ overrides: { wte: 10, 'mlp.gate': null } });
    assert.equal(made.matrices[1]!.rank, 10);
    assert.equal(made.totals.parametersBefore, 64 * 64 + 200 * 64);
    assert.match(made.matrices[2]!.reason!, /dense by default/);
  });

  it('keeps its kinds in the plan where a request could include it', () => {
    assert.deepEqual(
      of().matrices.map(({ kinds }) => kinds),
      [undefined, ['embedding', 'head'], ['router'], undefined],
    );
  });

  it('warns of words that include nothing', () => {
    const { notes } = of({ include: ['position', 'embeding', 'router', 'q'] });
    assert.equal(notes?.length, 3);
    for (const [k, word] of ['position', 'embeding', 'q'].entries()) assert.match(notes[k]!, new RegExp(`"${word}"`));
  });
});

describe('a plan request', () => {
  const list = [
    powerLaw('layers.0.q.weight', 64, 64, 1),
    powerLaw('layers.1.q.weight', 64, 64, 1),
    powerLaw('head', 64, 200, 1),
  ];
  const find = (made: Plan, name: string) => made.matrices.find((found) => found.name === name)!;

  it('keeps excluded matrices dense, counted neither before nor after', () => {
    const made = plan(list, { exclude: ['layers.*'] });
    assert.deepEqual(
      made.matrices.map(({ rank, reason }) => rank === null && reason),
      ['excluded', 'excluded', false],
    );
    assert.equal(made.totals.parametersBefore, 64 * 200);
  });

  it('follows ranks set by hand despite exclusions and multiples, and counts them', () => {
    const made = plan(list, { exclude: ['*'], multiple: 8, overrides: { 'layers.0.q.weight': 13 } });
    assert.equal(find(made, 'layers.0.q.weight').rank, 13);
    assert.equal(made.totals.parametersBefore, 64 * 64);
    assert.equal(made.totals.parametersAfter, 13 * 128);
  });

  it('rejects a rank set by hand above break-even, and says so', () => {
    const found = find(plan(list, { overrides: { 'layers.0.q.weight': 33 } }), 'layers.0.q.weight');
    assert.equal(found.rank, null);
    assert.match(found.reason!, /33.*above break-even \(32\)/);
  });

  it('keeps a matrix dense that is set to null by hand, and compensates with the others', () => {
    const made = plan(list, { overrides: { 'layers.0.q.weight': null } });
    assert.equal(find(made, 'layers.0.q.weight').rank, null);
    assert.ok(made.totals.parametersAfter <= made.totals.parametersBefore / 2);
  });

  it('keeps a matrix dense with the reason if no layer could hold its factors', () => {
    const made = plan([{ ...list[0]!, fixed: 'a slice' }, list[1]!]);
    assert.deepEqual([made.matrices[0]!.rank, made.matrices[0]!.reason], [null, 'a slice']);
    assert.equal(made.totals.parametersBefore, 64 * 64);
  });

  it('sets the same rank everywhere, rounded down to the multiple, at least one', () => {
    const ranks = (value: number) =>
      plan(list, { budget: { kind: 'rank', value }, multiple: 8 }).matrices.map(({ rank }) => rank);
    assert.deepEqual(ranks(20), [16, 16, 16]);
    assert.deepEqual(ranks(3), [8, 8, 8]);
    // 32 is the break-even rank of the square ones, which saves nothing.
    assert.deepEqual(ranks(32), [null, null, 32]);
  });

  it('names the break-even rank for the number of factors', () => {
    const reasonOf = (factors: 2 | 3) =>
      plan([powerLaw('w', 64, 64, 0)], { budget: { kind: 'error', value: 0 }, factors }).matrices[0]!.reason;
    assert.match(reasonOf(2) ?? '', /not below break-even \(32\)/);
    assert.match(reasonOf(3) ?? '', /not below break-even \(31\)/);
  });

  it('handles names such as __proto__', () => {
    const overrides = Object.fromEntries([['__proto__', 4]]);
    const made = plan([powerLaw('__proto__', 64, 64, 1)], { overrides });
    assert.equal(made.matrices[0]!.rank, 4);
  });

  it('counts bytes in the type in which the factors are written', () => {
    const input = { ...powerLaw('w', 64, 64, 1), bytesPerElement: 1, factorBytesPerElement: 2 };
    const { totals } = plan([input], { budget: { kind: 'rank', value: 8 } });
    assert.deepEqual([totals.bytesBefore, totals.bytesAfter], [4096, 2 * 8 * 128]);
  });

  it('says if ranks set by hand alone exceed the error', () => {
    const made = plan(list, { budget: { kind: 'error', value: 0.01 }, overrides: { head: 1 } });
    assert.match(made.unmet!, /set by hand/);
    assert.equal(find(made, 'layers.0.q.weight').rank, null);
  });

  it('refuses values out of range by name', () => {
    const wrong: [Partial<PlanRequest>, string][] = [
      [{ budget: { kind: 'keep', value: 0 } }, 'keep'],
      [{ budget: { kind: 'keep', value: 1.1 } }, 'keep'],
      [{ budget: { kind: 'error', value: 1 } }, 'error'],
      [{ budget: { kind: 'energy', value: Number.NaN } }, 'energy'],
      [{ budget: { kind: 'rank', value: 1.5 } }, 'rank'],
      [{ multiple: 0 }, 'multiple'],
      [{ overrides: { head: 0 } }, 'head'],
    ];
    for (const [request, subject] of wrong)
      assert.throws(
        () => plan(list, request),
        (error) => error instanceof RankscopeError && error.code === 'wrong-use' && error.subject === subject,
      );
  });

  it('returns an empty plan if there is nothing to plan', () => {
    for (const kind of ['keep', 'error', 'energy'] as const) {
      const made = plan([], { budget: { kind, value: 0.5 } });
      assert.deepEqual(made.totals, {
        parametersBefore: 0,
        parametersAfter: 0,
        bytesBefore: 0,
        bytesAfter: 0,
        error: 0,
        keptShare: 1,
        keptShareOfModel: 1,
        bytesOfModel: CHECKPOINT.bytes,
        bytesOfModelBefore: CHECKPOINT.bytes,
        multiplyAddsBefore: 0,
        multiplyAddsAfter: 0,
      });
      assert.equal(made.unmet, undefined);
    }
  });

  it('plans 225 matrices of 4,096 values in 100 ms of processor time, 300 on a busy machine', () => {
    const large = Array.from({ length: 225 }, (_, k) =>
      powerLaw(`m${k}`, 4096, 4096 + (k % 3) * 7000, 0.3 + (k % 5) / 10, 1 + (k % 7)),
    );
    for (const spread of SPREADS) {
      let best = Number.POSITIVE_INFINITY;
      for (let run = 0; run < 6; run++) {
        const begin = process.cpuUsage();
        plan(large, { spread });
        best = Math.min(best, process.cpuUsage(begin).user / 1000);
      }
      assert.ok(best < 300, `${spread}: ${best} ms`);
    }
  });
});
