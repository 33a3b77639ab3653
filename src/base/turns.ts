/** Resolves in the next turn of the event loop: what waits for this thread goes first. */
export function nextTurn(): Promise<void> {
  // Not in browsers, where a timer is the nearest thing.
  const later = typeof setImmediate === 'function' ? setImmediate : (resolve: () => void) => setTimeout(resolve);
  return new Promise((resolve) => later(resolve));
}

/** Long work on a thread that others need as well asks at every step; the answer is a promise when they are to go first. */
export function takeTurns(sliceMs: number): () => Promise<void> | undefined {
  let end = performance.now() + sliceMs;
  return () => {
    if (performance.now() < end) return undefined;
    return nextTurn().then(() => {
      end = performance.now() + sliceMs;
    });
  };
}
