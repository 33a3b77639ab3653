import { throwIfCancelled } from './errors.ts';

/** `setImmediate`, which browsers lack. */
export const immediate = (globalThis as { readonly setImmediate?: (run: () => void) => unknown }).setImmediate;

/** Resolves in the next turn of the event loop, after what is already waiting for this thread. */
export function nextTurn(): Promise<void> {
  // In a browser, a timer comes closest.
  const later = immediate ?? setTimeout;
  return new Promise((resolve) => later(() => resolve()));
}

/** Awaited between the steps of long work on a shared thread: yields to the event loop if due, else returns nothing. */
export type Pause = () => Promise<void> | undefined;

/** A pause that yields once `sliceMs` have passed since it last did. */
export function yieldEvery(sliceMs: number): Pause {
  let end = performance.now() + sliceMs;
  return () => {
    if (performance.now() < end) return undefined;
    return nextTurn().then(() => {
      end = performance.now() + sliceMs;
    });
  };
}

/** Short enough for a cancellation to take effect within 100 ms, long enough for the yields to cost nothing. */
const CANCELLATION_MS = 20;

/** A pause that also checks `signal`, now and after each yield. @throws RankscopeError 'cancelled' */
export function yieldOrCancel(signal: AbortSignal | undefined, subject: string): Pause {
  throwIfCancelled(signal, subject);
  const pause = yieldEvery(CANCELLATION_MS);
  return () => pause()?.then(() => throwIfCancelled(signal, subject));
}
