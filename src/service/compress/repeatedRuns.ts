/** Tokens of a run: long enough not to come twice by chance. */
const RUN = 16;
/** From this share of repeated runs on, a text counts as one that repeats itself, or another one. */
export const REPEATED = 0.5;

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

/** Says, if that is so, that a text repeats itself. @param text what it is called: `The calibration text` */
export function repetitionNotes(text: string, windows: readonly ArrayLike<number>[]): string[] {
  const share = repeatedRuns(windows);
  if (share < REPEATED) return [];
  return [
    `${text} repeats itself: ${Math.round(100 * share)} % of its runs of ${RUN} tokens came before. It says little about other texts.`,
  ];
}
