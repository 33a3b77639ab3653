/** Tokens of a run: long enough not to come twice by chance. */
const RUN = 16;

function* runsOf(windows: readonly ArrayLike<number>[]): Generator<string> {
  for (const window of windows) {
    const ids = Array.from(window);
    const length = Math.min(RUN, ids.length);
    for (let at = 0; at + length <= ids.length; at++) yield ids.slice(at, at + length).join();
  }
}

/** Share of the runs of 16 tokens in `windows` that also stand in `others`, in [0, 1]. */
export function sharedRuns(windows: readonly ArrayLike<number>[], others: readonly ArrayLike<number>[]): number {
  const known = new Set(runsOf(others));
  let [shared, total] = [0, 0];
  for (const run of runsOf(windows)) {
    total++;
    if (known.has(run)) shared++;
  }
  return total === 0 ? 0 : shared / total;
}

/** Share of the runs of 16 tokens that came before, in [0, 1). */
export function repeatedRuns(windows: readonly ArrayLike<number>[]): number {
  const known = new Set<string>();
  let total = 0;
  for (const run of runsOf(windows)) {
    total++;
    known.add(run);
  }
  return total === 0 ? 0 : 1 - known.size / total;
}
