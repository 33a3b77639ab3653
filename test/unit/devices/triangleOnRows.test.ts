import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import type { Blas } from '../../../src/devices/cpu/blas/blas.ts';
import { checkTriangular, gramOf, tolerance } from '../../numeric/checks.ts';
import { taken, withMatrix } from '../../numeric/device.ts';
import { testFolder } from '../formats/folder.ts';
import { compileBlas, needCompiler } from './blas/compiledBlas.ts';

/** Widths of triangles and numbers of rows below: one panel or several, narrow or wide, with and without a rest. */
const SHAPES = [
  [1, 1],
  [1, 40],
  [5, 1],
  [33, 0],
  [33, 7],
  [48, 100],
  [130, 60],
  [200, 1],
  [250, 300],
  [385, 90],
] as const;

/** What entry (i, j) is multiplied by, where a stack of an n x n triangle on further rows differs from Gaussian. */
const KINDS: Readonly<Record<string, (i: number, j: number, n: number) => number>> = {
  Gaussian: () => 1,
  'with a triangle of half the rank': (i, _, n) => (i < n && i % 2 === 0 ? 0 : 1),
  'with a zero triangle': (i, _, n) => (i < n ? 0 : 1),
  'with rows that are zero in some columns': (i, j, n) => (i >= n && j % 3 === 0 ? 0 : 1),
  'with zero rows': (i, _, n) => (i < n ? 1 : 0),
  'all zero': () => 0,
  'of tiny entries': () => 1e-36,
  'of huge entries': () => 1e36,
  'with rows far below the triangle': (i, _, n) => (i < n ? 1 : 1e-12),
  'with rows far above the triangle': (i, _, n) => (i < n ? 1e-12 : 1),
};

function stackOf(n: number, p: number, factor: (typeof KINDS)[string]): Float32Array {
  const random = seededRandom(n + p);
  return Float32Array.from({ length: (n + p) * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return i < n && j < i ? 0 : factor(i, j, n) * random.normal();
  });
}

/** Checks R^T R = A^T A, each entry by the norms of its two columns, and a Gaussian R against that of a plain QR. */
async function check(backend: Backend): Promise<void> {
  for (const [n, p] of SHAPES) {
    for (const [kind, factor] of Object.entries(KINDS).slice(0, n > 200 ? 2 : undefined)) {
      const what = `${n} + ${p} ${kind}`;
      const data = stackOf(n, p, factor);
      const triangle = (onTriangle: boolean) =>
        withMatrix(backend, data, n + p, n, async (on) =>
          taken(backend, await backend.triangularize(on, { onTriangle })),
        );
      const r = await triangle(true);
      checkTriangular(r, n);
      const [ours, theirs] = [gramOf(r, n, n), gramOf(data, n + p, n)];
      const norms = Float64Array.from({ length: n }, (_, i) => Math.sqrt(theirs[i * (n + 1)]!));
      for (const [at, entry] of ours.entries()) {
        const bound = 2 * tolerance(n + p, n, norms[Math.floor(at / n)]! * norms[at % n]!);
        assert.ok(
          Math.abs(entry - theirs[at]!) <= bound,
          `${what}: entry ${at} of R^T R is ${entry}, not ${theirs[at]}`,
        );
      }
      if (kind !== 'Gaussian' || p < n / 4) continue;
      // R is unique but for the signs of its rows.
      const plain = await triangle(false);
      for (const [at, entry] of r.entries()) {
        const off = Math.abs(Math.abs(entry) - Math.abs(plain[at]!));
        assert.ok(off <= 8 * tolerance(n + p, n, norms[at % n]!), `${what}: entry ${at} is off by ${off}`);
      }
    }
  }
}

describe('R of a triangle on further rows', function () {
  this.timeout(120_000);
  const folder = testFolder();

  async function checkWith(threads: number, blas?: Blas): Promise<void> {
    const backend = createCpuBackend(threads, { blas });
    try {
      await check(backend);
    } finally {
      await backend.close();
    }
  }

  for (const threads of [1, 2, 3]) it(`is right on ${threads} threads`, () => checkWith(threads));

  for (const threading of ['workers', 'library'] as const) {
    it(`is right with a BLAS that is called by ${threading === 'workers' ? 'all threads' : 'one thread'}`, async function () {
      needCompiler(this);
      const path = compileBlas(folder.path(), `lib${threading}.so`);
      const blas = { path, symbol: 'sgemm_', name: 'plain', source: '', threading, multipliesInPlace: true } as const;
      await checkWith(2, blas);
    });
  }
});
