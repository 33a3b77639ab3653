import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BalancedFactors } from '../../../src/base/balancedFactors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import type { SeenBy } from '../../../src/spectrum/seenRows.ts';
import { truncateOnInputs } from '../../../src/spectrum/truncateOnInputs.ts';
import { truncateOnSeen } from '../../../src/spectrum/truncateOnSeen.ts';
import { sourceOf, withMatrix } from '../../numeric/device.ts';
import { python } from '../formats/python.ts';

/** A row-major matrix in f64. */
interface Dense {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float64Array;
}

const dense = (rows: number, cols: number, entry: (i: number, j: number) => number): Dense => ({
  rows,
  cols,
  values: Float64Array.from({ length: rows * cols }, (_, at) => Math.fround(entry(Math.floor(at / cols), at % cols))),
});

/** a b^T. */
function byTransposed(a: Dense, b: Dense): Dense {
  const values = new Float64Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < b.rows; j++)
      for (let k = 0; k < a.cols; k++) values[i * b.rows + j]! += a.values[i * a.cols + k]! * b.values[j * b.cols + k]!;
  return { rows: a.rows, cols: b.rows, values };
}

const transposeOf = ({ rows, cols, values }: Dense): Dense => ({
  rows: cols,
  cols: rows,
  values: values.map((_, at) => values[(at % rows) * cols + Math.floor(at / rows)]!),
});

const times = (a: Dense, b: Dense) => byTransposed(a, transposeOf(b));
const squares = ({ values }: Dense) => values.reduce((sum, value) => sum + value * value, 0);
const minus = (a: Dense, b: Dense): Dense => ({ ...a, values: a.values.map((value, at) => value - b.values[at]!) });

/** W (m x n), inputs X (n x t) with a large channel and a mean, and X' near them. */
function problem(m: number, n: number, t: number, seed = 1) {
  const { normal } = seededRandom(seed);
  const w = dense(m, n, () => normal() / Math.sqrt(n));
  const means = Array.from({ length: n }, () => normal());
  const x = dense(n, t, (i) => ((i === 2 ? 30 : 1) * (means[i]! + normal())) / (1 + i / 10));
  const y = dense(n, t, (i, j) => x.values[i * t + j]! + 0.2 * normal());
  return { w, x, y };
}

/** || W X - W' X' ||^2 + t || W - W' ||^2. */
function loss({ w, x, y }: ReturnType<typeof problem>, product: Dense, ridge: number): number {
  const shift = (ridge * squares(y)) / y.rows;
  return squares(minus(times(w, x), times(product, y))) + shift * squares(minus(w, product));
}

const productOf = ({ b, a }: BalancedFactors, n: number): Dense => {
  const rank = a.length / n;
  const of = (rows: number, cols: number, values: Float32Array) => dense(rows, cols, (i, j) => values[i * cols + j]!);
  return times(of(b.length / rank, rank, b), of(rank, n, a));
};

/** The largest difference, relative to the largest entry. */
function difference(own: Dense, right: ArrayLike<number>): number {
  assert.equal(own.values.length, right.length);
  const largest = Math.max(...Array.from(right, Math.abs));
  return Math.max(...own.values.map((value, at) => Math.abs(value - right[at]!))) / largest;
}

const SCRIPT = `
import json, sys
import numpy as np
p = json.load(open(sys.argv[1]))
m, n, t, k, ridge = (p[key] for key in ("m", "n", "t", "k", "ridge"))
W, X, Y = (np.array(p[key]).reshape(shape) for key, shape in (("w", (m, n)), ("x", (n, t)), ("y", (n, t))))
A, B = X @ Y.T, Y @ Y.T
s = ridge * B.diagonal().mean() * np.eye(n)
e, Q = np.linalg.eigh(B + s)
ok = e > 1e-9 * e[-1]
H = Q[:, ok] / np.sqrt(e[ok])
U, S, V = np.linalg.svd(W @ (A + s) @ H, full_matrices=False)
print(json.dumps(((U[:, :k] * S[:k]) @ V[:k] @ H.T).ravel().tolist()))
`;

describe('truncation on the inputs of a compressed model', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  async function truncated({ w, x, y }: ReturnType<typeof problem>, rank: number, ridge?: number, transposed = false) {
    const moments = { inputs: w.cols, cross: byTransposed(x, y).values, own: byTransposed(y, y).values };
    const stored = transposed ? transposeOf(w) : w;
    return withMatrix(backend, Float32Array.from(stored.values), stored.rows, stored.cols, async (matrix) => {
      const options = ridge === undefined ? {} : { ridge };
      const [own] = await truncateOnInputs(backend, moments, [{ name: 'w', matrix, transposed, rank }], options);
      return own!;
    });
  }

  /** W' by LAPACK in f64. */
  function byLapack(context: Mocha.Context, { w, x, y }: ReturnType<typeof problem>, k: number, ridge: number) {
    const folder = mkdtempSync(join(tmpdir(), 'rankscope-truncate-'));
    try {
      const file = join(folder, 'problem.json');
      const values = Object.fromEntries(Object.entries({ w, x, y }).map(([name, each]) => [name, [...each.values]]));
      writeFileSync(file, JSON.stringify({ ...values, m: w.rows, n: w.cols, t: x.cols, k, ridge }));
      return python(context, ['numpy'], SCRIPT, file) as number[];
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  // By numpy 2.3 in f64, of the matrices below.
  const SMALL: readonly (readonly [ridge: number, right: readonly number[]])[] = [
    [
      0.1,
      [
        0.80158049, 0.93805115, 0.62229986, -0.04942472, -0.67086901, -0.72399121, -0.95247248, -0.70569503,
        -0.09607968, 0.55063898, 0.63191123, 0.94783006, 0.77496572, 0.23966107, -0.41938789, -0.52718352, -0.92421677,
        -0.82872542, -0.37844561, 0.27974274,
      ],
    ],
    [
      0,
      [
        -1.30160469, 1.0789974, 0.04551861, -1.45026834, -0.1015684, 1.27027931, -1.08742001, -0.04587392, 1.18165545,
        0.10236125, -1.21352927, 1.0740779, 0.04531106, -0.88939166, -0.10110533, 1.13249038, -1.03923805, -0.0438413,
        0.5793267, 0.09782578,
      ],
    ],
  ];
  for (const [ridge, right] of SMALL)
    for (const transposed of [false, true])
      it(`agrees with LAPACK on a small matrix${transposed ? ' that is stored as its transpose' : ''}, ridge ${ridge}`, async () => {
        const x = dense(5, 12, (i, j) => Math.cos(2 + 5 * i + 3 * j) + (i === 1 ? 3 : 0));
        const small = {
          w: dense(4, 5, (i, j) => Math.sin(1 + 3 * i + 7 * j)),
          x,
          y: dense(5, 12, (i, j) => x.values[i * 12 + j]! + 0.25 * Math.sin(i * j + 1)),
        };
        const own = await truncated(small, 2, ridge, transposed);
        assert.ok(difference(productOf(own, 5), right) < (ridge > 0 ? 2e-6 : 1e-4));
      });

  it('agrees with LAPACK on a matrix whose inverse root is made of blocks', async function () {
    const wide = problem(40, 300, 900);
    const right = byLapack(this, wide, 12, 0.1);
    const own = productOf(await truncated(wide, 12), 300);
    assert.ok(difference(own, right) < 1e-4);
    const best = loss(wide, { ...own, values: Float64Array.from(right) }, 0.1);
    assert.ok(Math.abs(loss(wide, own, 0.1) / best - 1) < 1e-6);
  });

  it('agrees with LAPACK where the inputs are repeated lines, which leave some directions out', async function () {
    const { w, x } = problem(20, 30, 90);
    // 10 tokens, again and again.
    const repeated = dense(30, 90, (i, j) => x.values[i * 90 + (j % 10)]!);
    const lines = {
      w,
      x: repeated,
      y: dense(30, 90, (i, j) => repeated.values[i * 90 + j]! + 0.1 * Math.sin(i + (j % 10))),
    };
    const own = await truncated(lines, 6, 0);
    const right = byLapack(this, lines, 6, 0);
    assert.ok(difference(productOf(own, 30), right) < 1e-3);
  });

  it('is finite for repeated lines, has the rank that was asked for, and pulls what no line shows to W', async () => {
    const { w, x } = problem(20, 30, 90);
    const repeated = dense(30, 90, (i, j) => x.values[i * 90 + (j % 3)]!);
    for (const ridge of [0, undefined]) {
      const { b, a } = await truncated({ w, x: repeated, y: repeated }, 12, ridge);
      assert.deepEqual([b.length, a.length], [20 * 12, 12 * 30]);
      assert.ok([...b, ...a].every(Number.isFinite));
      const lost = squares(minus(w, productOf({ b, a }, 30))) / squares(w);
      // Without a ridge, W' is zero on 27 of 30 directions.
      if (ridge === 0) assert.ok(lost > 0.8, `${lost}`);
      else assert.ok(lost < 0.5, `${lost}`);
    }
  });

  it('gives the smallest loss: that of theory, which no change of the factors lowers', async () => {
    for (const [seed, ridge] of [0, 0.1, 1].entries()) {
      const given = problem(16, 24, 200, seed + 5);
      const own = await truncated(given, 5, ridge);
      const least = loss(given, productOf(own, 24), ridge);
      const { normal } = seededRandom(9);
      for (let trial = 0; trial < 50; trial++) {
        const size = 10 ** -(1 + (trial % 3));
        const shaken = (values: Float32Array) => values.map((value) => value + size * normal());
        assert.ok(loss(given, productOf({ b: shaken(own.b), a: shaken(own.a) }, 24), ridge) > least, `ridge ${ridge}`);
      }
      // W X Q with an orthonormal basis Q of the rows of X' has the singular values that decide.
      if (ridge > 0) continue;
      const basis = orthonormalRows(given.y);
      const seen = byTransposed(times(given.w, given.x), basis);
      const values = await withMatrix(backend, Float32Array.from(seen.values), 16, 24, (matrix) =>
        backend.singularValues(matrix),
      );
      const kept = values.slice(0, 5).reduce((sum, value) => sum + value * value, 0);
      const right = squares(times(given.w, given.x)) - kept;
      assert.ok(Math.abs(least / right - 1) < 1e-3, `${least} instead of ${right}`);
    }
  });

  it('is U_k U_k^T W where the inputs are the same, as statistics alone give it', async () => {
    const { w, x } = problem(16, 24, 200);
    for (const transposed of [false, true]) {
      const own = productOf(await truncated({ w, x, y: x }, 5, 0.01, transposed), 24);
      const r = triangleOf(x);
      const read: SeenBy['read'] = async (row, out) => void out.set(r.subarray(row * 24, row * 24 + out.length));
      const stored = transposed ? transposeOf(w) : w;
      const source = sourceOf(Float32Array.from(stored.values), stored.rows, stored.cols);
      const seenBy = { kind: 'full', inputs: 24, shrinkage: 0.01, read } as const;
      const { error, ...factors } = await truncateOnSeen(backend, { source, transposed }, seenBy, 5);
      assert.ok(difference(productOf(factors, 24), own.values) < 1e-4);
      const shift = (0.01 * squares(x)) / 24;
      const lost = minus(w, own);
      const [left, whole] = [lost, w].map((part) => squares(times(part, x)) + shift * squares(part)) as [
        number,
        number,
      ];
      assert.ok(Math.abs(error / Math.sqrt(left / whole) - 1) < 1e-4);
      checkBalanced(factors, 24);
    }
  });

  it('balances the factors, and keeps W where nothing is cut', async () => {
    const given = problem(12, 9, 100);
    const own = await truncated({ ...given, y: given.x }, 9);
    checkBalanced(own, 9);
    assert.ok(difference(productOf(own, 9), given.w.values) < 1e-4);
  });

  it('refuses inputs that are NaN or all zero, impossible ranks, and stops when it is cancelled', async () => {
    const given = problem(6, 5, 20);
    await assert.rejects(truncated({ ...given, x: dense(5, 20, () => Number.NaN) }, 2), { code: 'not-finite' });
    await assert.rejects(truncated({ ...given, y: dense(5, 20, () => 0) }, 2), { code: 'wrong-use' });
    for (const rank of [0, 6, 1.5]) await assert.rejects(truncated(given, rank), { code: 'wrong-use' });
    const moments = { inputs: 5, cross: new Float64Array(25).fill(1), own: new Float64Array(25).fill(1) };
    await withMatrix(backend, new Float32Array(30), 6, 5, async (matrix) => {
      const weight = { name: 'w', matrix, transposed: false, rank: 2 };
      const signal = AbortSignal.abort();
      await assert.rejects(truncateOnInputs(backend, moments, [weight], { signal }), { code: 'cancelled' });
    });
  });
});

function checkBalanced({ b, a }: BalancedFactors, n: number): void {
  const rank = a.length / n;
  for (let k = 0; k < rank; k++) {
    const column = Math.hypot(...b.filter((_, at) => at % rank === k));
    const row = Math.hypot(...a.subarray(k * n, (k + 1) * n));
    assert.ok(Math.abs(column / row - 1) < 1e-5);
  }
}

/** Gram-Schmidt, twice. */
function orthonormalRows({ rows, cols, values }: Dense): Dense {
  const basis = values.slice();
  for (let i = 0; i < rows; i++) {
    const row = basis.subarray(i * cols, (i + 1) * cols);
    for (let pass = 0; pass < 2; pass++)
      for (let j = 0; j < i; j++) {
        const other = basis.subarray(j * cols, (j + 1) * cols);
        const dot = row.reduce((sum, value, at) => sum + value * other[at]!, 0);
        for (let at = 0; at < cols; at++) row[at]! -= dot * other[at]!;
      }
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    for (let at = 0; at < cols; at++) row[at]! /= norm;
  }
  return { rows, cols, values: basis };
}

/** R with R^T R = X X^T: by the rows of Q with X^T = Q R. */
function triangleOf(x: Dense): Float32Array {
  return Float32Array.from(byTransposed(orthonormalRows(x), x).values);
}
