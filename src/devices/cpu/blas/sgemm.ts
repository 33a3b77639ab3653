// Why the Fortran interface: every BLAS has it, in contrast to cblas, and it takes all arguments by reference. An
// integer is written as 64 bits; a library built with 32-bit integers reads the lower half, which is the same number on
// a little-endian machine. So neither the width nor the calling convention of the library has to be known.
import { loadKoffi, loadLibrary } from './koffi.ts';

/** C <- alpha op(A) op(B) + beta C in row-major f32; addresses are offsets into the shared memory, in bytes. */
export type Sgemm = (
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: number,
  lda: number,
  transposeA: boolean,
  b: number,
  ldb: number,
  transposeB: boolean,
  beta: number,
  c: number,
  ldc: number,
) => void;

/** Bytes that the arguments of one call take. */
export const ARGUMENT_BYTES = 128;

/** Two characters, then six integers, then two floats, each in a slot of eight bytes. */
const SLOTS = { n: 2, m: 3, k: 4, ldb: 5, lda: 6, ldc: 7, alpha: 8, beta: 9, plain: 0, transposed: 1 } as const;

/**
 * Loads a BLAS into this thread; the library itself is shared by all threads of the process.
 * @param room address of ARGUMENT_BYTES of memory that belong to this thread
 * @throws where the library or the symbol is missing
 */
export function openSgemm(path: string, symbol: string, memory: WebAssembly.Memory, room: number): Sgemm {
  const koffi = loadKoffi();
  const pointer = 'void *';
  // Fortran passes the lengths of the two characters behind the arguments.
  const call = loadLibrary(path).func(symbol, 'void', [...Array(13).fill(pointer), 'size_t', 'size_t']);
  const base = koffi.address(new Uint8Array(memory.buffer));
  const slot = (index: number) => base + BigInt(room + 8 * index);
  const view = new DataView(memory.buffer, room, ARGUMENT_BYTES);
  view.setUint8(8 * SLOTS.plain, 'N'.charCodeAt(0));
  view.setUint8(8 * SLOTS.transposed, 'T'.charCodeAt(0));
  const integers = new BigInt64Array(memory.buffer, room + 8 * SLOTS.n, 6);
  const floats = new Float32Array(memory.buffer, room + 8 * SLOTS.alpha, 4);
  const [plain, transposed] = [slot(SLOTS.plain), slot(SLOTS.transposed)];
  const [pn, pm, pk] = [slot(SLOTS.n), slot(SLOTS.m), slot(SLOTS.k)];
  const [pLdb, pLda, pLdc] = [slot(SLOTS.ldb), slot(SLOTS.lda), slot(SLOTS.ldc)];
  const [pAlpha, pBeta] = [slot(SLOTS.alpha), slot(SLOTS.beta)];

  return (m, n, k, alpha, a, lda, transposeA, b, ldb, transposeB, beta, c, ldc) => {
    // Row-major C is column-major C^T = op(B)^T op(A)^T. BLAS refuses leading dimensions of zero.
    integers[0] = BigInt(n);
    integers[1] = BigInt(m);
    integers[2] = BigInt(k);
    integers[3] = BigInt(Math.max(1, ldb));
    integers[4] = BigInt(Math.max(1, lda));
    integers[5] = BigInt(Math.max(1, ldc));
    floats[0] = alpha;
    floats[2] = beta;
    const [right, left] = [transposeB ? transposed : plain, transposeA ? transposed : plain];
    const [pa, pb, pc] = [base + BigInt(a), base + BigInt(b), base + BigInt(c)];
    call(right, left, pn, pm, pk, pAlpha, pb, pLdb, pa, pLda, pBeta, pc, pLdc, 1, 1);
  };
}
