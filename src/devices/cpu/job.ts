import type { Blas } from './blas/blas.ts';
import type { AttendArgs } from './routines/attend.ts';
import type { AttendBackArgs } from './routines/attendBack.ts';
import type { Bidiagonal, BidiagonalTripletsArgs } from './routines/bidiagonal.ts';
import type { DecodeArgs } from './routines/decode.ts';
import type { OrthonormalizeArgs } from './routines/orthonormalize.ts';
import type { Product } from './routines/product.ts';
import type { RowArgs } from './routines/rows.ts';
import type { SingularValuesArgs } from './routines/singularValues.ts';
import type { SvdArgs } from './routines/svd.ts';
import type { Stages } from './team.ts';

/** What the main thread sends to every worker. */
export type Job = { readonly id: number } & Work;

export type Work =
  | { readonly routine: 'multiply'; readonly args: readonly Product[] }
  | { readonly routine: 'decode'; readonly args: DecodeArgs }
  | { readonly routine: 'rows'; readonly args: RowArgs }
  | { readonly routine: 'attend'; readonly args: AttendArgs }
  | { readonly routine: 'attendBack'; readonly args: AttendBackArgs }
  | { readonly routine: 'orthonormalize'; readonly args: OrthonormalizeArgs }
  | { readonly routine: 'singularValues'; readonly args: SingularValuesArgs }
  | { readonly routine: 'svd'; readonly args: SvdArgs }
  | { readonly routine: 'bidiagonalValues'; readonly args: Bidiagonal }
  | { readonly routine: 'bidiagonalTriplets'; readonly args: BidiagonalTripletsArgs };

/** What a worker sends back. Each worker ends a job with one of the last three. */
export type Reply =
  | { readonly id: number; readonly kind: 'progress'; readonly share: number }
  | { readonly id: number; readonly kind: 'done'; readonly result: unknown; readonly stages: Stages | undefined }
  | { readonly id: number; readonly kind: 'stopped' }
  | { readonly id: number; readonly kind: 'failed'; readonly message: string };

/** The data that a worker starts with. */
export interface Start {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly id: number;
  readonly threads: number;
  /** Address of the words at which the threads meet. */
  readonly sync: number;
  readonly scratch: Scratch;
  readonly blas: Blas | undefined;
}

/** Addresses of the memory of one thread. */
export interface Scratch {
  /** Packed panels of the kernels' products. */
  readonly panels: number;
  /** The arguments of a BLAS. */
  readonly call: number;
}
