import type { Kernels } from './kernels.ts';
import { SYNC } from './memory.ts';

/** Thrown on every thread of a team at the same barrier once the caller has cancelled. */
export class Stopped extends Error {}

/** A piece of work that one thread does alone; it must take well under 100 ms. */
export type Task = () => void;

/**
 * One thread's view of the threads that run the same routine in step. Every thread runs the same code over the same addresses; they
 * share the tasks of a phase out among themselves, first come, first served, and meet at barriers.
 */
export class Team {
  constructor(
    readonly kernels: Kernels,
    readonly memory: WebAssembly.Memory,
    /** 0 leads: it does what only one may do, and returns the result. */
    readonly id: number,
    readonly threads: number,
    /** This thread's own room for packed panels. */
    readonly scratch: number,
    readonly report: (share: number) => void,
  ) {}

  /** @throws Stopped on all threads alike */
  barrier(): void {
    this.kernels.barrier(SYNC, this.threads);
    if (this.kernels.agreedToStop(SYNC)) throw new Stopped();
  }

  /** Does the tasks, in any order and each once, and meets. All threads must give the same list. */
  perform(tasks: readonly Task[]): void {
    while (!this.kernels.askedToStop(SYNC)) {
      const task = tasks[this.kernels.nextTask(SYNC)];
      if (task === undefined) break;
      task();
    }
    this.barrier();
  }

  /** Lets the leader alone do something, and meets. */
  lead(task: Task): void {
    if (this.id === 0) task();
    this.barrier();
  }

  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, count);
  }

  doubles(at: number, count: number): Float64Array {
    return new Float64Array(this.memory.buffer, at, count);
  }
}

/** Splits [0, count) into ranges of about `size`, a multiple of `unit` each but the last. */
export function ranges(count: number, size: number, unit = 1): { from: number; to: number }[] {
  const step = Math.max(unit, Math.ceil(size / unit) * unit);
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => ({
    from: i * step,
    to: Math.min(count, (i + 1) * step),
  }));
}

/** Hands out the addresses of a routine's workspace in order: every thread carves the same ones. */
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
