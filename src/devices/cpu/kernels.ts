import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import v8 from 'node:v8';
import { asset } from '../assets.ts';

/** The exports of the WASM kernels. Addresses are byte offsets; leading dimensions count f32 numbers. */
export interface Kernels {
  gemmScratch(): number;
  gemm(
    m: number,
    n: number,
    k: number,
    alpha: number,
    a: number,
    lda: number,
    transposeA: number,
    b: number,
    ldb: number,
    transposeB: number,
    beta: number,
    c: number,
    ldc: number,
    scratch: number,
  ): void;
  barrier(sync: number, threads: number): void;
  agreedToStop(sync: number): number;
  askedToStop(sync: number): number;
  nextTask(sync: number): number;
  transpose(rows: number, cols: number, source: number, ld: number, out: number, ldOut: number): void;
  copy(rows: number, cols: number, source: number, ld: number, out: number, ldOut: number): void;
  clear(rows: number, cols: number, out: number, ld: number): void;
  largest(count: number, source: number): number;
  decode(encoding: number, count: number, source: number, out: number, sums: number): void;
  summarizeRows(rows: number, cols: number, x: number, reference: number, targets: number, out: number): void;
  multiplyBy(count: number, factor: number, source: number): void;
  rmsNorm(count: number, size: number, x: number, out: number, weight: number, epsilon: number): void;
  layerNorm(count: number, size: number, x: number, out: number, weight: number, bias: number, epsilon: number): void;
  activate(kind: number, count: number, x: number, factor: number): void;
  activateBack(kind: number, count: number, x: number, gradient: number, factor: number, ofFactor: number): void;
  normBack(
    count: number,
    size: number,
    isLayer: number,
    x: number,
    gradient: number,
    weight: number,
    epsilon: number,
    ofWeight: number,
    ofBias: number,
  ): void;
  adam(
    count: number,
    x: number,
    gradient: number,
    first: number,
    second: number,
    keptOfFirst: number,
    keptOfSecond: number,
    size: number,
    root: number,
    epsilon: number,
    squares: number,
  ): void;
  rescale(count: number, x: number, scale: number, cap: number): void;
  addScaled(count: number, x: number, y: number, scale: number): void;
  rotateRows(
    rows: number,
    cols: number,
    headSize: number,
    half: number,
    x: number,
    cosines: number,
    sines: number,
  ): void;
  pick(
    rows: number,
    cols: number,
    outCols: number,
    x: number,
    out: number,
    size: number,
    from: number,
    step: number,
  ): void;
  place(
    rows: number,
    cols: number,
    outCols: number,
    x: number,
    out: number,
    size: number,
    from: number,
    step: number,
  ): void;
  scoresBack(
    count: number,
    keys: number,
    weights: number,
    gradients: number,
    states: number,
    scale: number,
    capped: number,
    cap: number,
  ): void;
  startQueries(count: number, states: number): void;
  weighScores(
    count: number,
    queries: number,
    keys: number,
    size: number,
    ahead: number,
    window: number,
    scores: number,
    states: number,
    outputs: number,
  ): void;
  finishQueries(count: number, size: number, states: number, outputs: number, out: number, ldOut: number): void;
  reflectPanel(
    panel: number,
    ld: number,
    count: number,
    length: number,
    tau: number,
    shared: number,
    sync: number,
    id: number,
    threads: number,
  ): void;
  cleanReflectors(panel: number, ld: number, count: number, length: number): void;
  formT(count: number, gram: number, tau: number, t: number, ld: number): void;
  chase(
    band: number,
    stride: number,
    b: number,
    n: number,
    first: number,
    last: number,
    progress: number,
    reflectors: number,
    leftOffset: number,
    taus: number,
    scratch: number,
    sync: number,
    id: number,
    workers: number,
  ): void;
  bidiagonalPair(
    n: number,
    d: number,
    e: number,
    ratios: number,
    value0: number,
    value1: number,
    work: number,
    right: number,
    left: number,
    next: number,
  ): void;
  formChaseBlocks(group: number, n: number, b: number, reflectors: number, taus: number, out: number): void;
  mergeReflectors(
    first: number,
    count: number,
    t: number,
    n: number,
    b: number,
    reflectors: number,
    taus: number,
    v: number,
    ld: number,
  ): void;
  applyChaseBlocks(group: number, n: number, b: number, blocks: number, c: number, cols: number): void;
}

export type KernelSet = 'wide' | 'relaxed' | 'simd';

/** Fastest first. Each is tried, because only the runtime knows which it accepts. */
export const KERNEL_SETS: readonly KernelSet[] = ['wide', 'relaxed', 'simd'];

/**
 * The first of `sets` that this runtime compiles. Flags must be set before the first compilation in the process:
 * relaxed SIMD needs a flag on Node 20, the 256-bit revectorizer on every version that has it (Node >= 22, x64).
 */
export function compileKernels(sets = KERNEL_SETS): { module: WebAssembly.Module; set: KernelSet } {
  if (endianness() !== 'LE') throw new Error('the kernels need a little-endian processor');
  const canWiden = Number(process.versions.node.split('.')[0]) >= 22 && process.arch === 'x64';
  v8.setFlagsFromString(canWiden ? '--experimental-wasm-revectorize' : '--experimental-wasm-relaxed-simd');
  let refused: unknown = new Error(`this runtime supports none of the kernel sets ${sets.join(', ')}`);
  for (const set of sets) {
    // Without the revectorizer the wide tiles would not fit in the registers.
    if (set === 'wide' && !canWiden) continue;
    try {
      return { module: new WebAssembly.Module(new Uint8Array(readFileSync(asset(`kernels.${set}.wasm`)))), set };
    } catch (error) {
      refused = error;
    }
  }
  throw refused;
}

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const abort = () => {
    throw new Error('a kernel aborted');
  };
  return new WebAssembly.Instance(module, { env: { memory, abort } }).exports as unknown as Kernels;
}
