import { RankscopeError } from '../../base/errors.ts';
import { formatBytes } from '../../base/quantities.ts';

const PAGE = 65536;
/** The reach of 32-bit addresses; some systems grant less. */
const MAX_PAGES = 65536;
/** Address of the words of `kernels/sync.ts`. Address 0 stays unused, so that it can mean "none". */
export const SYNC = 4096;
/** Of those words: a cache line for each team of threads. */
export const SYNC_BYTES = 64;
const FIRST = PAGE;
/** Blocks start on cache lines, so that no two share one. */
const ALIGN = 64;

interface Block {
  readonly at: number;
  readonly bytes: number;
}

/** One shared WebAssembly memory and a first-fit allocator over it, which only the main thread uses. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly limit: number;
  /** Free blocks, ordered by address; adjacent blocks are merged. */
  private free: Block[] = [];
  private readonly taken = new Map<number, number>();
  private end = FIRST;

  constructor(maximumPages = MAX_PAGES) {
    this.memory = new WebAssembly.Memory({ initial: 64, maximum: maximumPages, shared: true });
    this.limit = maximumPages * PAGE - FIRST;
  }

  /** @throws RankscopeError 'too-large' before anything is taken. */
  allocate(bytes: number, subject: string): number {
    const size = Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
    const index = this.free.findIndex((block) => block.bytes >= size);
    if (index >= 0) {
      const { at, bytes: had } = this.free[index]!;
      if (had === size) this.free.splice(index, 1);
      else this.free[index] = { at: at + size, bytes: had - size };
      this.taken.set(at, size);
      return at;
    }
    const last = this.free.at(-1);
    const at = last !== undefined && last.at + last.bytes === this.end ? last.at : this.end;
    if (!this.reach(at + size)) throw this.tooLarge(bytes, subject);
    if (at === last?.at) this.free.pop();
    this.end = at + size;
    this.taken.set(at, size);
    return at;
  }

  release(at: number): void {
    const bytes = this.taken.get(at);
    if (bytes === undefined) return;
    this.taken.delete(at);
    const merged: Block[] = [];
    for (const block of [...this.free, { at, bytes }].sort((a, b) => a.at - b.at)) {
      const before = merged.at(-1);
      if (before !== undefined && before.at + before.bytes === block.at)
        merged[merged.length - 1] = { at: before.at, bytes: before.bytes + block.bytes };
      else merged.push(block);
    }
    this.free = merged;
  }

  /** Bytes in use. */
  get used(): number {
    return [...this.taken.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, count);
  }

  bytes(at: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, count);
  }

  private reach(end: number): boolean {
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE);
    if (missing <= 0) return true;
    try {
      this.memory.grow(missing);
      return true;
    } catch {
      return false;
    }
  }

  private tooLarge(bytes: number, subject: string): RankscopeError {
    return new RankscopeError(
      'too-large',
      subject,
      `needs ${formatBytes(bytes)}; ${formatBytes(this.used)} of the ${formatBytes(this.limit)} that the cpu engine can address are in use`,
      'Choose a GPU engine, or leave this matrix out',
    );
  }
}
