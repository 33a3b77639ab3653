import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Activation, AttentionOptions, NormWeights } from '../../../src/devices/backend.ts';
import { activate, activateBack } from '../../../src/devices/plain/activate.ts';
import { adam } from '../../../src/devices/plain/adam.ts';
import { normalize, normalizeBack } from '../../../src/devices/plain/normalize.ts';
import { pick, place, rotate } from '../../../src/devices/plain/rows.ts';
import { attend, attendBack } from '../../../src/devices/reference/attend.ts';

const { normal } = seededRandom(7);
const random = (length: number): Float64Array => Float64Array.from({ length }, normal);
const ROWS = 5;

/**
 * Compares a gradient with central differences of the sum of `weights` times the outputs. Both errors of these, of
 * order h^2 and eps / h, are far below the tolerance.
 */
function checkGradient(
  input: Float64Array | Float32Array,
  gradient: Float64Array,
  weights: Float64Array,
  outputs: () => Float64Array,
  tolerance = 1e-7,
): void {
  const h = 2 ** -17;
  const value = () => outputs().reduce((sum, output, i) => sum + output * weights[i]!, 0);
  for (let i = 0; i < input.length; i++) {
    const before = input[i]!;
    input[i] = before + h;
    // What an f32 holds of the step.
    const up = input[i]!;
    const above = value();
    input[i] = before - h;
    const slope = (above - value()) / (up - input[i]!);
    input[i] = before;
    const bound = tolerance * Math.max(1, Math.abs(slope));
    assert.ok(Math.abs(slope - gradient[i]!) < bound, `entry ${i}: ${gradient[i]}, not ${slope}`);
  }
}

describe('derivatives in float64 agree with central differences', () => {
  const norms: Record<string, NormWeights> = {
    'the RMS norm': { kind: 'rms', weight: Float32Array.from(random(12)), epsilon: 0.1 },
    'the RMS norm of each head': { kind: 'rms', weight: Float32Array.from(random(4)), epsilon: 1e-3 },
    'the layer norm': {
      kind: 'layer',
      weight: Float32Array.from(random(12)),
      bias: Float32Array.from(random(12)),
      epsilon: 1e-3,
    },
    'the layer norm of each head, with weights of its own': {
      kind: 'layer',
      weight: Float32Array.from(random(12)),
      epsilon: 1e-3,
      size: 4,
    },
  };
  for (const [name, norm] of Object.entries(norms))
    it(`for ${name}, its weights and its biases`, () => {
      const [x, weights] = [random(ROWS * 12), random(ROWS * 12)];
      const outputs = () => {
        const out = new Float64Array(x.length);
        normalize(out, x, norm);
        return out;
      };
      const gradient = weights.slice();
      const { weight, bias } = normalizeBack(gradient, x, norm);
      checkGradient(x, gradient, weights, outputs);
      checkGradient(norm.weight, weight, weights, outputs);
      assert.equal(bias === undefined, norm.bias === undefined);
      if (norm.bias) checkGradient(norm.bias, bias!, weights, outputs);
    });

  const activations: readonly Activation[] = ['silu', 'gelu', 'geluTanh', 'quickGelu', 'relu', 'squaredRelu'];
  for (const activation of activations)
    it(`for ${activation}, alone and with a factor`, () => {
      // No entry is so near zero that a difference would reach over the bend of the rectifiers.
      const x = random(40).map((entry) => 2 * entry + Math.sign(entry) * 0.01);
      const [factor, weights] = [random(40), random(40)];
      const outputs = (times?: Float64Array) => () => {
        const out = x.slice();
        activate(out, activation, times);
        return out;
      };
      // The fit of the error function has a relative error of 1e-7, which its difference has as well.
      const tolerance = activation === 'gelu' ? 1e-6 : 1e-7;
      const alone = weights.slice();
      activateBack(alone, x, activation);
      checkGradient(x, alone, weights, outputs(), tolerance);
      const [gradient, ofFactor] = [weights.slice(), new Float64Array(40)];
      activateBack(gradient, x, activation, factor, ofFactor);
      checkGradient(x, gradient, weights, outputs(factor), tolerance);
      checkGradient(factor, ofFactor, weights, outputs(factor), tolerance);
    });

  it('for rotary positions, by the inverse turn', () => {
    const [x, weights] = [random(ROWS * 12), random(ROWS * 12)];
    const [cosines, sines] = [Float32Array.from(random(3 * 2)), Float32Array.from(random(3 * 2))];
    const rotation = { row: 1, rows: 3, headSize: 6, half: 2, cosines, sines };
    const gradient = weights.slice();
    rotate(gradient, 12, { ...rotation, sines: sines.map((sine) => -sine) });
    checkGradient(x, gradient, weights, () => {
      const out = x.slice();
      rotate(out, 12, rotation);
      return out;
    });
  });

  it('for picked stretches, by placing them', () => {
    const [x, weights] = [random(ROWS * 12), random(ROWS * 4)];
    const columns = { size: 2, from: 2, step: 6 };
    const gradient = new Float64Array(ROWS * 12);
    place(gradient, 12, weights, 4, columns);
    checkGradient(x, gradient, weights, () => {
      const out = new Float64Array(ROWS * 4);
      pick(out, 4, x, 12, columns);
      return out;
    });
  });

  const attention: Record<string, Partial<AttentionOptions>> = {
    'attention with a head of keys for each': { keyHeads: 4 },
    'attention with shared keys': {},
    'attention in a sliding window': { window: 3 },
    'attention with capped scores': { softCap: 0.7 },
    'attention of the last of many positions': { spans: [{ row: 0, rows: 2, keyRow: 1, keys: 6 }] },
  };
  for (const [name, own] of Object.entries(attention))
    it(`for ${name}`, () => {
      const spans = [
        { row: 0, rows: 5, keyRow: 0, keys: 5 },
        { row: 5, rows: 3, keyRow: 5, keys: 3 },
      ];
      const options = { heads: 4, keyHeads: 2, headSize: 3, scale: 0.8, softCap: null, window: null, spans, ...own };
      const last = options.spans.at(-1)!;
      const [rows, keys] = [last.row + last.rows, last.keyRow + last.keys];
      const [width, keyWidth] = [4 * 3, options.keyHeads * 3];
      const input = { query: random(rows * width), key: random(keys * keyWidth), value: random(keys * keyWidth) };
      const weights = random(rows * width);
      const out = {
        query: input.query.map(() => Number.NaN),
        key: input.key.map(() => 0),
        value: input.value.map(() => 0),
      };
      attendBack(out, weights, input, options);
      for (const part of ['query', 'key', 'value'] as const)
        checkGradient(input[part], out[part], weights, () => {
          const result = new Float64Array(rows * width);
          attend(result, input, options);
          return result;
        });
    });
});

describe('a step of Adam', () => {
  it('moves each entry by the rate at first, and towards the minimum of a square in the end', () => {
    const x = Float64Array.of(3, -2, 0.5);
    const [first, second] = [new Float64Array(3), new Float64Array(3)];
    for (let step = 1; step <= 400; step++) {
      const gradient = x.map((entry) => 2 * entry);
      const before = x.slice();
      const squares = adam(x, gradient, first, second, { rate: 0.05, step });
      assert.ok(Math.abs(squares - gradient.reduce((sum, entry) => sum + entry ** 2, 0)) < 1e-12);
      if (step === 1)
        for (const [i, entry] of x.entries()) assert.ok(Math.abs(Math.abs(entry - before[i]!) - 0.05) < 1e-8);
    }
    assert.ok(
      x.every((entry) => Math.abs(entry) < 0.01),
      `${x}`,
    );
  });
});
