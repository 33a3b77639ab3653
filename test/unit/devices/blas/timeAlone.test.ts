import assert from 'node:assert/strict';
import { IN_PLACE } from '../../../../src/devices/cpu/blas/inPlace.ts';
import type { Sgemm } from '../../../../src/devices/cpu/blas/sgemm.ts';
import { aloneBytes, timeAlone } from '../../../../src/devices/cpu/blas/timeAlone.ts';

const [AT, SIDE] = [4096, 640];

describe('the trial of a library on one thread', () => {
  it('keeps to its memory, and computes in pieces what it computes as a whole', () => {
    /** Multiplications of each product with few rows, in pieces and at once. */
    const parts: number[] = [];
    const products: number[] = [];
    timeAlone(
      library(({ m, n, k, operands }) => {
        for (const { at, rows, cols, ld } of operands) {
          const end = at + ((rows - 1) * ld + cols) * 4;
          assert.ok(at >= AT && end <= AT + aloneBytes(SIDE), `${rows} x ${cols} at ${at}`);
        }
        if (m === SIDE) return 0;
        (m * n * k > IN_PLACE ? products : parts).push(m * n * k);
        return 0;
      }),
      AT,
      SIDE,
    );
    const [whole] = products;
    assert.ok(whole && products.every((product) => product === whole));
    const all = parts.reduce((sum, part) => sum + part, 0);
    assert.equal(all % whole, 0, `${all} multiplications in pieces, ${whole} at once`);
  });

  it('prefers pieces where the library is slow at larger products only', () => {
    const { alone, multipliesInPlace } = timeAlone(
      library(({ m, n, k }) => (m * n * k > IN_PLACE ? 2 : 0)),
      AT,
      SIDE,
    );
    assert.equal(multipliesInPlace, true);
    assert.ok(alone >= 0.002, `${alone} s`);
  });

  it('prefers no pieces where each call takes its time', () => {
    const { multipliesInPlace } = timeAlone(
      library(() => 0.2),
      AT,
      SIDE,
    );
    assert.equal(multipliesInPlace, false);
  });
});

interface Call {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly operands: readonly {
    readonly at: number;
    readonly rows: number;
    readonly cols: number;
    readonly ld: number;
  }[];
}

/** A library whose products take as many milliseconds as `duration` says. */
function library(duration: (call: Call) => number): Sgemm {
  return (m, n, k, _alpha, a, lda, transposeA, b, ldb, transposeB, _beta, c, ldc) => {
    const of = (at: number, ld: number, rows: number, cols: number, transposed: boolean) =>
      transposed ? { at, ld, rows: cols, cols: rows } : { at, ld, rows, cols };
    const operands = [of(a, lda, m, k, transposeA), of(b, ldb, k, n, transposeB), of(c, ldc, m, n, false)];
    const end = performance.now() + duration({ m, n, k, operands });
    while (performance.now() < end);
  };
}
