import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import type { SeenBy } from '../../../src/spectrum/seenRows.ts';
import { sharedFactors } from '../../../src/spectrum/sharedFactors.ts';
import { type SeenSharing, sharedGains, sharedOnSeen } from '../../../src/spectrum/sharedOnSeen.ts';
import { GrowingTriangle } from '../../../src/spectrum/stackedTriangle.ts';
import { transposeOf } from '../../../src/spectrum/transpose.ts';
import { sourceOf } from '../../numeric/device.ts';

const [N, T] = [18, 60];
const HEIGHTS = [25, 14];

function gaussian(rows: number, cols: number, seed: number, grade: (j: number) => number = () => 1): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: rows * cols }, (_, i) => grade(i % cols) * random.normal());
}

/** a (m x k) times b (k x n), in f64. */
function times(a: ArrayLike<number>, b: ArrayLike<number>, k: number): Float64Array {
  const [m, n] = [a.length / k, b.length / k];
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++) for (let j = 0; j < n; j++) out[i * n + j]! += a[i * k + l]! * b[l * n + j]!;
  return out;
}

const minus = (a: ArrayLike<number>, b: ArrayLike<number>) => Float64Array.from(a, (value, at) => value - b[at]!);
const energyOf = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value * value, 0);

describe('a factor that matrices share on their inputs', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(1);
  });
  after(() => backend.close());

  /** Statistics of X^T (tokens x n). */
  const seenOf = async (tokens: Float32Array, shrinkage = 0): Promise<SeenBy> => {
    const triangle = new GrowingTriangle(backend, N);
    await triangle.add(tokens.slice());
    const r = await triangle.finish();
    return {
      kind: 'full',
      inputs: N,
      shrinkage,
      read: async (row, out) => out.set(r.subarray(row * N, row * N + out.length)),
    };
  };
  const weights = HEIGHTS.map((m, k) => gaussian(m, N, 3 + k, (j) => 10 ** k * 0.9 ** j));
  const inputs = [0, 1].map((k) => gaussian(T, N, 7 + k, (j) => 0.8 ** (k === 0 ? j : N - j)));
  const sharing = (seenBy: SeenBy[], sameInputs: boolean, isTransposed: boolean): SeenSharing => ({
    name: 'group',
    sources: weights.map((own, k) =>
      isTransposed
        ? sourceOf(transposeOf(own, N), N, HEIGHTS[k]!, `matrix ${k}`)
        : sourceOf(own, HEIGHTS[k]!, N, `matrix ${k}`),
    ),
    transposed: isTransposed,
    seenBy,
    sameInputs,
  });
  /** W X in f64. */
  const outputs = (k: number, tokens: Float32Array) => times(weights[k]!, transposeOf(tokens, N), N);
  /** By the definition, from the tokens: ||(W - B A) X||^2 / ||W X||^2 for each matrix. */
  const lostOf = ({ a, b }: { a: Float32Array; b: readonly Float32Array[] }, rank: number, tokens: Float32Array[]) =>
    weights.map((_, k) => {
      const whole = outputs(k, tokens[k]!);
      const kept = times(times(b[k]!, a, rank), transposeOf(tokens[k]!, N), N);
      return energyOf(minus(whole, kept)) / energyOf(whole);
    });
  const total = (lost: readonly number[]) => lost.reduce((sum, share, k) => sum + share * HEIGHTS[k]! * N, 0);

  for (const isTransposed of [false, true])
    for (const [what, tokens] of [
      ['the same inputs', [inputs[0]!, inputs[0]!]],
      ['inputs of their own', inputs],
    ] as const)
      it(`loses on ${what}${isTransposed ? ', stored as transposes,' : ''} what is predicted, and less than one of the weights alone`, async () => {
        const same = tokens[0] === tokens[1];
        const seenBy = await Promise.all(tokens.map((each) => seenOf(each)));
        const all = sharing(same ? [seenBy[0]!, seenBy[0]!] : seenBy, same, isTransposed);
        const norms = tokens.map((each, k) => Math.sqrt(energyOf(outputs(k, each))));
        const most = 12;
        const gains = await sharedGains(backend, all, norms, most);
        assert.equal(gains.length, same ? N : most);
        const whole = HEIGHTS.reduce((sum, m) => sum + m * N, 0);
        for (const rank of [1, 4, most]) {
          const found = await sharedOnSeen(backend, all, rank);
          const lost = lostOf(found, rank, [...tokens]);
          const predicted = whole - energyOf(gains.subarray(0, rank));
          assert.ok(Math.abs(total(lost) - predicted) < 1e-5 * whole, `${rank}: ${total(lost)}, not ${predicted}`);
          for (const [k, share] of lost.entries())
            assert.ok(Math.abs(found.errors[k]! ** 2 - share) < 1e-5, `${found.errors[k]! ** 2}, not ${share}`);
          const byWeights = await sharedFactors(backend, all, rank);
          assert.ok(total(lost) < total(lostOf(byWeights, rank, [...tokens])));
          // No other B_i is better for this A: what is left of W X has nothing of A X.
          for (const [k, each] of tokens.entries()) {
            const x = transposeOf(each, N);
            const left = minus(outputs(k, each), times(times(found.b[k]!, found.a, rank), x, N));
            const seen = times(found.a, x, N);
            const correlation = Math.sqrt(energyOf(times(left, transposeOf(seen, T), T)));
            assert.ok(correlation < 1e-4 * Math.sqrt(energyOf(outputs(k, each)) * energyOf(seen)), `${correlation}`);
          }
        }
      });

  it('is the best of all for matrices with the same inputs: no other of a hundred loses less', async () => {
    const tokens = inputs[0]!;
    const seen = await seenOf(tokens);
    const all = sharing([seen, seen], true, false);
    const rank = 3;
    const least = total(lostOf(await sharedOnSeen(backend, all, rank), rank, [tokens, tokens]));
    const found = await sharedOnSeen(backend, all, rank);
    for (let seed = 1; seed <= 100; seed++) {
      const step = gaussian(rank, N, seed);
      const other = found.a.map((value, at) => value + 0.01 * step[at]!);
      assert.ok(total(lostOf({ a: other, b: found.b }, rank, [tokens, tokens])) > least);
    }
  });

  it('takes statistics of single inputs, of fewer tokens than inputs, and of inputs that depend on each other', async () => {
    const roots = gaussian(1, N, 9).map(Math.abs);
    const diagonal: SeenBy = { kind: 'diagonal', inputs: N, shrinkage: 0, read: async (_, out) => out.set(roots) };
    // The same as a full R that is diagonal.
    const full = await seenOf(
      Float32Array.from({ length: N * N }, (_, at) => (at % (N + 1) === 0 ? roots[at % N]! : 0)),
    );
    const [one, other] = await Promise.all(
      [diagonal, full].map((seen) => sharedOnSeen(backend, sharing([seen, seen], false, false), 5)),
    );
    for (const [k, error] of one!.errors.entries()) assert.ok(Math.abs(error - other!.errors[k]!) < 1e-5);
    const few = await Promise.all(inputs.map((each) => seenOf(each.slice(0, 6 * N), 0.01)));
    const shrunk = await sharedOnSeen(backend, sharing(few, false, false), 9);
    assert.ok(shrunk.errors.every((error) => error > 0 && error < 1));
    const dependent = await Promise.all(inputs.map((each) => seenOf(each.slice(0, 6 * N))));
    const { a, b, errors } = await sharedOnSeen(backend, sharing(dependent, false, false), 14);
    assert.ok([a, ...b].every((values) => values.every(Number.isFinite)));
    assert.ok(
      errors.every((error) => error < 1e-2),
      errors.join(),
    );
  });
});
