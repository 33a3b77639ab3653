import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { RankscopeError } from '../../../src/base/errors.ts';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import { parsePlan } from '../../../src/model/plan/parsePlan.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';

const schema = (name: string) => JSON.parse(readFileSync(`media/schemas/${name}.schema.json`, 'utf8')) as object;
const validator = (name: string) =>
  new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(schema(name));

const REQUEST: PlanRequest = {
  budget: { kind: 'keep', value: 0.5 },
  spread: 'optimal',
  multiple: 2,
  exclude: ['b.*'],
  overrides: Object.fromEntries([
    ['c', null],
    ['__proto__', 3],
  ]),
  factors: 2,
};
const made = (request: Partial<PlanRequest> = {}): Plan =>
  makePlan(
    { path: 'a.safetensors', format: 'safetensors', parameters: 2000, bytes: 8000 },
    ['a', 'b.w', 'c', '__proto__', 'constructor'].map((name, k) => ({
      name,
      shape: [12 + k, 20] as const,
      bytesPerElement: 4,
      singularValues: Array.from({ length: 12 + k }, (_, i) => 1 / (i + 1)),
    })),
    { ...REQUEST, ...request },
  );

/** The plan as JSON with one member replaced, or removed where the value is undefined. */
function changed(path: readonly (string | number)[], value: unknown): string {
  const plan = JSON.parse(JSON.stringify(made())) as Record<string | number, unknown>;
  let holder = plan;
  for (const key of path.slice(0, -1)) holder = holder[key] as Record<string | number, unknown>;
  if (value === undefined) delete holder[path.at(-1)!];
  else holder[path.at(-1)!] = value;
  return JSON.stringify(plan);
}

describe('a plan file', () => {
  const valid = validator('plan');

  it('matches the schema and reads back the same', () => {
    for (const budget of [
      { kind: 'keep', value: 0.5 },
      { kind: 'keep', value: 0.001 },
      { kind: 'error', value: 0.2 },
      { kind: 'energy', value: 0.9 },
      { kind: 'rank', value: 4 },
    ] as const)
      for (const factors of [2, 3] as const) {
        const plan = made({ budget, factors });
        const text = JSON.stringify(plan);
        assert.ok(valid(JSON.parse(text)), JSON.stringify(valid.errors));
        assert.equal(JSON.stringify(parsePlan(text, 'plan.json')), text);
      }
  });

  it('keeps what it includes, the kinds of its matrices and its notes', () => {
    const plan = {
      ...made({ include: ['head', '*.gate.*'] }),
      notes: ['Cutting the embedding also cuts the head.'],
    };
    const text = JSON.stringify({
      ...plan,
      matrices: plan.matrices.map((matrix) => ({ ...matrix, kinds: ['embedding', 'head'] })),
    });
    assert.ok(valid(JSON.parse(text)), JSON.stringify(valid.errors));
    assert.deepEqual(parsePlan(text, 'plan.json'), JSON.parse(text));
  });

  it('keeps which matrices share a factor, and refuses a group that cannot', () => {
    const plan = made({ share: { inputs: true, layers: 2 } });
    const shared = (ranks: readonly number[]) =>
      JSON.stringify({
        ...plan,
        matrices: plan.matrices.map((matrix, k) =>
          k < ranks.length ? { ...matrix, rank: ranks[k], shared: 'group' } : matrix,
        ),
      });
    // The first of them has 12 rows; the shared factor may have as many as it has columns.
    const text = shared([14, 14]);
    assert.ok(valid(JSON.parse(text)), JSON.stringify(valid.errors));
    assert.deepEqual(parsePlan(text, 'plan.json'), JSON.parse(text));
    assert.throws(() => parsePlan(shared([3, 4]), 'plan.json'), /shared.*one rank/);
  });

  it('of an older version is read: nothing is included, and the shares follow from the totals', () => {
    const old = JSON.parse(JSON.stringify(made({ exclude: [] }))) as Plan;
    const { keptShare, keptShareOfModel, ...totals } = old.totals;
    const text = JSON.stringify({ ...old, totals });
    assert.ok(valid(JSON.parse(text)), JSON.stringify(valid.errors));
    const read = parsePlan(text, 'plan.json');
    assert.equal(read.request.include, undefined);
    assert.deepEqual([read.totals.keptShare, read.totals.keptShareOfModel], [keptShare, keptShareOfModel]);
    assert.equal(keptShare, totals.parametersAfter / totals.parametersBefore);
  });

  it('may name its schema', () => {
    assert.deepEqual(
      parsePlan(changed(['$schema'], 'plan.schema.json'), 'plan.json'),
      JSON.parse(JSON.stringify(made())),
    );
  });

  const measured: Plan = {
    ...made({ spread: 'loss', floor: 0.25 }),
    sensitivities: {
      inputs: { kind: 'full', text: 'wiki.txt', tokens: 4096 },
      divergences: { text: 'wiki.txt', tokens: 1024, measured: 1, filledIn: 1, seconds: 2.5 },
      matrices: [
        {
          name: 'a',
          tokens: 4096,
          singularValues: [3, 2],
          rest: 0.5,
          divergence: { value: 0.1, rank: 1, tail: 4.5, from: 'matrix' },
        },
        { name: 'c', tokens: null, singularValues: [], rest: 0 },
      ],
    },
  };
  /** The measured plan as JSON with one member of its sensitivities replaced. */
  const measuredWith = (path: readonly (string | number)[], value: unknown) => {
    const plan = JSON.parse(JSON.stringify(measured)) as Record<string | number, unknown>;
    let holder = plan;
    for (const step of path.slice(0, -1)) holder = holder[step] as typeof plan;
    holder[path.at(-1)!] = value;
    return JSON.stringify(plan);
  };

  it('keeps what was measured, matches the schema and reads back the same', () => {
    const text = JSON.stringify(measured);
    assert.ok(valid(JSON.parse(text)), JSON.stringify(valid.errors));
    assert.deepEqual(parsePlan(text, 'plan.json'), measured);
  });

  for (const [path, value, message] of [
    [['request', 'floor'], 1.5, /floor is 1.5.*share/],
    [['sensitivities', 'inputs', 'kind'], 'half', /kind is "half"/],
    [['sensitivities', 'divergences', 'tokens'], 0, /tokens is 0/],
    [['sensitivities', 'matrices', 1, 'name'], 'a', /no other matrix/],
    [['sensitivities', 'matrices', 0, 'singularValues'], [1, null], /singularValues\[1\] is null/],
    [['sensitivities', 'matrices', 0, 'singularValues'], [1, 2], /descending/],
    [['sensitivities', 'matrices', 0, 'rest'], -1, /rest is -1/],
    [['sensitivities', 'matrices', 0, 'divergence', 'value'], 'NaN', /value is "NaN"/],
    [['sensitivities', 'matrices', 0, 'divergence', 'from'], 'guess', /from is "guess"/],
  ] as const)
    it(`with ${path.join('.')} = ${JSON.stringify(value)} is refused as well`, () => {
      assert.throws(() => parsePlan(measuredWith(path, value), 'plan.json'), message);
    });

  const wrong: [readonly (string | number)[], unknown, RegExp][] = [
    [['format'], 'rankscope.plan/2', /format is "rankscope.plan\/2".*rankscope.plan\/1/],
    [['extra'], 1, /extra is 1.*no such member/],
    [['totals'], undefined, /'totals'/],
    [['matrices'], {}, /matrices is \{\}.*a list/],
    [['matrices', 0, 'rank'], 1.5, /matrices\[0\].rank is 1.5.*whole number from 1 to 12/],
    [['matrices', 0, 'rank'], 13, /matrices\[0\].rank is 13/],
    [['matrices', 0, 'rank'], -1, /rank is -1/],
    [['matrices', 0, 'shape'], [12], /two sizes/],
    [['matrices', 0, 'shape'], [12, 0], /shape\[1\] is 0/],
    [['matrices', 0, 'name'], 7, /name is 7.*a string/],
    [['matrices', 1, 'name'], 'a', /a name that no other matrix has/],
    [['matrices', 0, 'error'], 'x', /error is "x".*number/],
    [['request', 'budget', 'kind'], 'size', /budget.kind is "size".*keep, energy, error, rank/],
    [['request', 'budget', 'value'], 2, /budget.*keep/],
    [['request', 'multiple'], 0, /multiple is 0/],
    [['request', 'factors'], 4, /factors is 4.*2, 3/],
    [['request', 'include'], 'b', /include is "b".*a list/],
    [['matrices', 0, 'kinds'], ['layer'], /kinds\[0\] is "layer".*embedding, head, router/],
    [['totals', 'keptShare'], -1, /keptShare is -1/],
    [['notes'], 'x', /notes is "x".*a list/],
    [['request', 'exclude'], 'b', /exclude is "b".*a list/],
    [['request', 'overrides', 'a'], 'high', /overrides.a is "high"/],
    [['checkpoint', 'parameters'], 2 ** 53, /parameters is 9007199254740992/],
  ];
  for (const [path, value, message] of wrong)
    it(`with ${path.join('.')} = ${JSON.stringify(value)} is refused, with the place named`, () => {
      assert.throws(
        () => parsePlan(changed(path, value), 'some/plan.json'),
        (error) =>
          error instanceof RankscopeError &&
          error.code === 'malformed' &&
          error.subject === 'some/plan.json' &&
          message.test(error.message),
      );
    });

  it('is refused by the reader if the schema refuses it', () => {
    const anything = fc.jsonValue();
    const paths = wrong.map(([path]) => path);
    fc.assert(
      fc.property(fc.constantFrom(...paths), anything, (path, value) => {
        const text = changed(path, value);
        let read = true;
        try {
          parsePlan(text, 'plan.json');
        } catch (error) {
          assert.ok(error instanceof RankscopeError && error.code === 'malformed');
          read = false;
        }
        if (!valid(JSON.parse(text))) assert.equal(read, false);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('is reported if it is not JSON', () => {
    for (const text of ['', '{', 'null', '[]', '\0'])
      assert.throws(
        () => parsePlan(text, 'plan.json'),
        (error) => error instanceof RankscopeError && error.code === 'malformed',
      );
  });
});

describe('the schemas of what the command line prints', () => {
  const measures = {
    frobeniusNorm: 1,
    spectralNorm: 1,
    effectiveRank: 1,
    effectiveRankEnergy: 1,
    stableRank: 1,
    participationRatio: 1,
    numericalRank: 1,
    noiseRank: 0,
    noiseDeviation: 0,
    noiseEdge: 0,
    optimalThresholdRank: 1,
    energyRanks: { '0.9': 1, '0.95': 1, '0.99': 1, '0.999': 1 },
    breakEvenRank: 1,
    alpha: null,
    alphaDistance: null,
  };
  const matrix = {
    name: 'a',
    shape: [2, 2],
    dtype: 'F32',
    layer: null,
    module: 'a',
    provenance: 'exact',
    seconds: 0,
    ...measures,
  };
  const analysis = {
    format: 'rankscope.analysis/1',
    checkpoint: { path: 'a', format: 'safetensors', parameters: 4, bytes: 16, tensors: 1 },
    engine: { name: 'cpu', device: 'CPU', threads: 1, reason: 'asked for' },
    matrices: [matrix],
    ties: [['a', 'b']],
    skipped: [{ name: 'c', reason: 'a vector' }],
  };
  const valid = validator('analysis');

  it('accept an analysis with and without values and bands', () => {
    const interval = [1, 2];
    const band = {
      energyRanks: { '0.9': interval, '0.95': interval, '0.99': interval, '0.999': interval },
      effectiveRank: interval,
      effectiveRankEnergy: interval,
      stableRank: interval,
    };
    for (const more of [{}, { singularValues: [1, 0] }, { provenance: 'preview', band }])
      assert.ok(valid({ ...analysis, matrices: [{ ...matrix, ...more }] }), JSON.stringify(valid.errors));
  });

  it('accept notes on the checkpoint as a whole', () => {
    assert.ok(valid({ ...analysis, warnings: ['a note'] }), JSON.stringify(valid.errors));
    assert.ok(!valid({ ...analysis, warnings: [1] }));
  });

  it('refuse an analysis that lacks a member or has an unknown one', () => {
    for (const name of Object.keys(matrix))
      assert.ok(
        !valid({ ...analysis, matrices: [Object.fromEntries(Object.entries(matrix).filter(([key]) => key !== name))] }),
        name,
      );
    for (const name of Object.keys(analysis))
      assert.ok(!valid(Object.fromEntries(Object.entries(analysis).filter(([key]) => key !== name))), name);
    assert.ok(!valid({ ...analysis, more: 1 }));
    assert.ok(!valid({ ...analysis, matrices: [{ ...matrix, shape: [2] }] }));
  });

  it('match what is actually printed', function () {
    const file = 'test/fixtures/sample/model.safetensors';
    if (!existsSync('dist/cli.js')) {
      this.test!.title += ' (missing: dist/cli.js, npm run build)';
      this.skip();
    }
    this.timeout(120_000);
    const print = (...args: string[]) =>
      JSON.parse(
        execFileSync(process.execPath, ['dist/cli.js', ...args], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }),
      ) as unknown;
    assert.ok(valid(print('analyze', file, '--json', '--values')), JSON.stringify(valid.errors));
    const info = validator('info');
    assert.ok(info(print('info', file, '--json')), JSON.stringify(info.errors));
  });
});
