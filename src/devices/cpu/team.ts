import type { Blas } from './blas/blas.ts';
import type { Sgemm } from './blas/sgemm.ts';
import type { Kernels } from './kernels.ts';

/** Thrown on every thread of a team at the same barrier after the caller has cancelled. */
export class Stopped extends Error {}

/** Milliseconds that the leader spent in each stage of a routine, in the order of their beginnings. */
export type Stages = Readonly<Record<string, number>>;

/** Work that one thread does alone, in well under 100 ms. */
export type Task = () => void;

/**
 * The worker threads, as one of them sees them. All run the same routine on the same addresses: they take the tasks of
 * a phase first come, first served, and meet at barriers.
 */
export class Team {
  private readonly spent: Record<string, number> = {};
  private since = performance.now();

  constructor(
    readonly kernels: Kernels,
    readonly memory: WebAssembly.Memory,
    /** Address of the words at which the threads meet. */
    readonly sync: number,
    /** Thread 0 leads: it does what only one thread may do, and returns the result. */
    readonly id: number,
    readonly threads: number,
    /** Address of this thread's buffer for packed panels. */
    readonly scratch: number,
    /** A BLAS on the machine, if there is one, and its products. */
    readonly blas: (Blas & { readonly sgemm: Sgemm }) | undefined,
    readonly report: (share: number) => void,
  ) {}

  /** Waits for all threads. @throws Stopped on all of them, or on none. */
  barrier(): void {
    this.kernels.barrier(this.sync, this.threads);
    if (this.kernels.agreedToStop(this.sync)) throw new Stopped();
  }

  /** Performs each task once, in any order, and waits for all threads. Every thread must pass the same list. */
  perform(tasks: readonly Task[]): void {
    while (!this.kernels.askedToStop(this.sync)) {
      const task = tasks[this.kernels.nextTask(this.sync)];
      if (task === undefined) break;
      task();
    }
    this.barrier();
  }

  /** Has the leader alone perform a task, and waits for it. */
  lead(task: Task): void {
    if (this.id === 0) task();
    this.barrier();
  }

  /** Ends a stage of the routine: the time since the last one ended counts as its own. */
  passed(stage: string): void {
    const now = performance.now();
    this.spent[stage] = (this.spent[stage] ?? 0) + now - this.since;
    this.since = now;
  }

  get stages(): Stages {
    return this.spent;
  }

  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, count);
  }

  doubles(at: number, count: number): Float64Array {
    return new Float64Array(this.memory.buffer, at, count);
  }
}

/** Splits [0, count) into ranges of about `size`; all but the last are multiples of `unit`. */
export function ranges(count: number, size: number, unit = 1): { from: number; to: number }[] {
  const step = Math.max(unit, Math.ceil(size / unit) * unit);
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => ({
    from: i * step,
    to: Math.min(count, (i + 1) * step),
  }));
}

/** Assigns addresses in a routine's workspace one after another, so that every thread arrives at the same layout. */
export class Arena {
  constructor(private next: number) {}

  floats(count: number): number {
    return this.bytes(count * 4);
  }

  doubles(count: number): number {
    return this.bytes(count * 8);
  }

  private bytes(count: number): number {
    const at = this.next;
    this.next += Math.ceil(count / 64) * 64;
    return at;
  }

  get end(): number {
    return this.next;
  }
}
