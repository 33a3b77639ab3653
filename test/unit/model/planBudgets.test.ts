import assert from 'node:assert/strict';
import fc from 'fast-check';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import type { PlanInput } from '../../../src/model/plan/planOptions.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import type { PlannedCheckpoint } from '../../../src/model/plan/totals.ts';

const REQUEST: PlanRequest = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 } };
const CHECKPOINT: PlannedCheckpoint = { path: 'a', format: 'safetensors', parameters: 1e6, bytes: 1e6 };

const powerLaw = (name: string, m: number, n: number, exponent: number, more: Partial<PlanInput> = {}): PlanInput => ({
  name,
  shape: [m, n],
  bytesPerElement: 4,
  singularValues: Float64Array.from({ length: Math.min(m, n) }, (_, k) => (k + 1) ** -exponent),
  ...more,
});
const plan = (matrices: readonly PlanInput[], request: Partial<PlanRequest>, checkpoint = CHECKPOINT): Plan =>
  makePlan(checkpoint, matrices, { ...REQUEST, ...request });
const ranks = ({ matrices }: Plan) => matrices.map(({ rank }) => rank);

const SIZES = [
  [24, 16],
  [16, 40],
  [32, 32],
] as const;
const EXPONENTS = [0.3, 0.7, 1.5];
const mixed = (more: (k: number) => Partial<PlanInput> = () => ({})) =>
  SIZES.map(([m, n], k) => powerLaw(`m${k}`, m, n, EXPONENTS[k]!, more(k)));

describe('a budget in bytes', () => {
  it('bounds the whole model in the types in which it is written, with all that stays dense', () => {
    const types = fc.constantFrom([4, 4, 4], [1, 2, 1], [0.5625, 2, 2]);
    fc.assert(
      fc.property(
        fc.array(types, { minLength: 3, maxLength: 3 }),
        fc.double({ min: 0.3, max: 1.1, noNaN: true }),
        (all, share) => {
          const inputs = mixed((k) => {
            const [bytesPerElement, factorBytesPerElement, writtenBytesPerElement] = all[k]!;
            return {
              bytesPerElement: bytesPerElement!,
              factorBytesPerElement: factorBytesPerElement!,
              writtenBytesPerElement: writtenBytesPerElement!,
            };
          });
          const dense = inputs.reduce(
            (sum, { shape: [m, n], writtenBytesPerElement = 0 }) => sum + m * n * writtenBytesPerElement,
            0,
          );
          const writtenBytes = dense + 500;
          const value = Math.round(share * writtenBytes);
          const made = plan(inputs, { budget: { kind: 'bytes', value } }, { ...CHECKPOINT, writtenBytes });
          const after = made.matrices.reduce((sum, { rank, shape: [m, n] }, k) => {
            const { factorBytesPerElement = 0, writtenBytesPerElement = 0 } = inputs[k]!;
            const own = rank === null ? m * n * writtenBytesPerElement : rank * (m + n) * factorBytesPerElement;
            assert.ok(own <= m * n * writtenBytesPerElement, 'no matrix grows');
            return sum + own;
          }, 500);
          assert.ok(Math.abs(made.totals.bytesOfModel! - after) < 1e-6);
          assert.ok(made.unmet !== undefined || after <= value);
        },
      ),
    );
  });

  it('is the same plan as a share of the parameters where all have the same type', () => {
    const inputs = mixed();
    const dense = inputs.reduce((sum, { shape: [m, n] }) => sum + m * n, 0);
    for (const spread of ['optimal', 'uniform', 'energy'] as const) {
      const bytes = plan(
        inputs,
        { spread, budget: { kind: 'bytes', value: 100 + 4 * 0.55 * dense } },
        { ...CHECKPOINT, writtenBytes: 100 + 4 * dense },
      );
      assert.deepEqual(ranks(bytes), ranks(plan(inputs, { spread, budget: { kind: 'keep', value: 0.55 } })));
    }
  });

  it('says what stays dense where it cannot be met', () => {
    const { unmet } = plan(
      mixed(),
      { budget: { kind: 'bytes', value: 600 } },
      { ...CHECKPOINT, writtenBytes: 8192 + 4 * 2048 },
    );
    assert.match(unmet!, /model of 8\.83 KB, 600 bytes were asked for; what stays dense takes 8\.19 KB of it/);
  });
});

describe('a budget in multiply-adds', () => {
  it('counts a token of experts by the share of them that it passes, and bounds all matrices of the model', () => {
    const quarter = (m: number, n: number) => ({ multiplyAdds: { dense: (m * n) / 4, perRank: (m + n) / 4 } });
    const head = powerLaw('head', 50, 16, 1, { kinds: ['head'] });
    const inputs = [
      head,
      powerLaw('dense', 32, 32, 0.5),
      ...[0, 1, 2, 3].map((k) => powerLaw(`e${k}`, 32, 32, 0.5, quarter(32, 32))),
    ];
    const before = 800 + 1024 + 1024;
    for (const value of [before, 0.8 * before, 0.6 * before]) {
      const { matrices, totals, unmet } = plan(inputs, { budget: { kind: 'multiplyAdds', value } });
      const after = matrices.reduce(
        (sum, { rank, shape: [m, n], name }) =>
          sum + (rank === null ? m * n : rank * (m + n)) * (name.startsWith('e') ? 0.25 : 1),
        0,
      );
      assert.equal(unmet, undefined);
      assert.ok(after <= value);
      assert.equal(totals.multiplyAddsBefore, before);
      assert.ok(Math.abs(totals.multiplyAddsAfter! - after) < 1e-9);
    }
  });

  it('never cuts a table that is looked up, which takes none', () => {
    const table = powerLaw('table', 64, 16, 2, { kinds: ['embedding'], multiplyAdds: { dense: 0, perRank: 16 } });
    const made = plan([table, powerLaw('a', 32, 32, 0.5)], {
      include: ['embedding'],
      budget: { kind: 'multiplyAdds', value: 600 },
    });
    assert.equal(made.matrices[0]!.rank, null);
    assert.ok(made.matrices[1]!.rank! <= Math.floor(600 / 64));
    assert.equal(made.unmet, undefined);
  });
});

describe('a compression ratio as tutorials count it', () => {
  it('is a share of min(m, n), and the note says what that is in parameters', () => {
    const made = plan(mixed(), { budget: { kind: 'compressionRatio', value: 0.6 } });
    // floor(0.6 * 16) = 9, floor(0.6 * 32) = 19: 9 * 40 < 384, 9 * 56 < 640, and 19 * 64 > 1024 stays dense.
    assert.deepEqual(ranks(made), [9, 9, null]);
    const total = 384 + 640 + 1024;
    const written = (100 * (9 * 40 + 9 * 56 + 19 * 64)) / total;
    const kept = (100 * (9 * 40 + 9 * 56 + 1024)) / total;
    const note = made.notes!.find((text) => text.includes('compress_model_svd'))!;
    assert.ok(
      note.includes(`${written.toPrecision(3)} % of the parameters, and those of 1 of 3 matrices save nothing`),
      note,
    );
    assert.ok(note.includes(`${kept.toPrecision(3)} % of the parameters are kept`), note);
  });

  it('is at least rank 1', () => {
    assert.deepEqual(ranks(plan(mixed(), { budget: { kind: 'compressionRatio', value: 0.01 } })), [1, 1, 1]);
  });
});

describe('rules of a plan', () => {
  it('give matrices a rank, a share, an energy or no cut, and the last that matches counts', () => {
    const names = ['a.q', 'a.k', 'a.v', 'a.o', 'b.q'];
    const inputs = names.map((name) => powerLaw(name, 32, 32, 1));
    const made = plan(inputs, {
      budget: { kind: 'keep', value: 0.5 },
      rules: [
        { match: 'a.*', rank: 3 },
        { match: '*.k', keep: 0.8 },
        { match: '*.v', energy: 0.9 },
        { match: '*.o', rank: null },
        { match: 'nothing', rank: 2 },
      ],
    });
    const values = Array.from({ length: 32 }, (_, k) => (k + 1) ** -2);
    const whole = values.reduce((sum, value) => sum + value, 0);
    let rank = 0;
    for (let kept = 0; kept < 0.9 * whole; rank++) kept += values[rank]!;
    const rest = Math.floor((0.5 * 5 * 1024 - (3 + 12 + rank) * 64 - 1024) / 64);
    assert.deepEqual(ranks(made), [3, Math.floor((0.8 * 1024) / 64), rank, null, rest > 0 ? rest : 1]);
    assert.equal(made.matrices[3]!.reason, 'kept dense by a rule');
    assert.ok(made.notes!.includes('The rule for "nothing" has no effect: no matrix has such a name.'));
  });

  it('set floors and multiples, and give way to a rank set by hand', () => {
    const inputs = ['a', 'b', 'c'].map((name, k) => powerLaw(name, 64, 64, [3, 0.1, 0.1][k]!));
    const rules = [
      { match: 'a', floor: 0.5 },
      { match: 'b', multiple: 8, floor: 0.1 },
      { match: 'c', rank: 5 },
    ];
    const made = plan(inputs, { budget: { kind: 'keep', value: 0.4 }, rules, overrides: { c: 7 } });
    const [a, b, c] = ranks(made);
    assert.ok(a! >= 16, `a has rank ${a}`);
    assert.equal(b! % 8, 0);
    assert.equal(c, 7);
  });

  it('cut nothing that is excluded or dense by default', () => {
    const inputs = [
      powerLaw('head', 32, 32, 1, { kinds: ['head'] }),
      powerLaw('a', 32, 32, 1),
      powerLaw('b', 32, 32, 1),
    ];
    const made = plan(inputs, { rules: [{ match: '*', rank: 2 }], exclude: ['b'] });
    assert.deepEqual(ranks(made), [null, 2, null]);
  });

  for (const [what, rule] of Object.entries({
    nothing: { match: 'a' },
    two: { match: 'a', rank: 1, keep: 0.5 },
    range: { match: 'a', keep: 1.5 },
    glob: { match: '', rank: 1 },
  }))
    it(`are refused where they set ${what} of use`, () => {
      assert.throws(() => plan(mixed(), { rules: [rule] }), { code: 'wrong-use' });
    });

  it('are refused in the words in which they are written', () => {
    assert.throws(
      () => plan(mixed(), { rules: [{ match: 'a', rank: 0, multiple: 8 }] }),
      /the rule for "a": rank 0, multiple 8\. Give whole numbers/,
    );
  });
});

describe('a plan whose every matrix loses half of its norm', () => {
  const flat = [0, 1].map((k) => powerLaw(`m${k}`, 64, 64, 0));
  it('is called another model, with the share of parameters from which on none does', () => {
    const { notes = [] } = plan(flat, { budget: { kind: 'keep', value: 0.5 } });
    // Flat spectra lose 1 - r / 64 of their energy: below 1/4 above rank 48, which is above break-even (32): dense.
    assert.match(
      notes[0]!,
      /^Every matrix of this plan loses half of its norm or more.*With 100 % of the parameters \(--keep 1\)/,
    );
    const falling = [0, 1].map((k) => powerLaw(`m${k}`, 64, 64, 0.5));
    const energy = Array.from({ length: 64 }, (_, k) => 1 / (k + 1));
    const whole = energy.reduce((sum, value) => sum + value, 0);
    let rank = 0;
    for (let kept = 0; kept <= 0.75 * whole; rank++) kept += energy[rank]!;
    const { notes: [note] = [] } = plan(falling, { spread: 'uniform', budget: { kind: 'rank', value: 4 } });
    const share = Math.ceil((rank * 128) / 4096 / 0.005) * 0.005;
    assert.ok(note!.includes(`--keep ${Number(share.toFixed(3))})`), `${note} ${share}`);
    const sound = plan(falling, { spread: 'uniform', budget: { kind: 'keep', value: share } });
    assert.ok(sound.matrices.every(({ error }) => error < 0.5));
    assert.equal(sound.notes, undefined);
  });

  it('is not said of a plan with one matrix that keeps more', () => {
    const made = plan([...flat, powerLaw('steep', 64, 64, 4)], { budget: { kind: 'rank', value: 8 } });
    assert.equal(made.notes, undefined);
  });
});
