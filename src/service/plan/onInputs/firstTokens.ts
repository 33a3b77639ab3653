/** The first windows of a text, up to so many tokens; the last one may be cut short, to no less than two tokens. */
export function firstTokens(windows: readonly Int32Array[], most: number): Int32Array[] {
  const taken: Int32Array[] = [];
  let left = most;
  for (const window of windows) {
    const own = window.subarray(0, Math.min(window.length, left));
    if (own.length < 2) break;
    taken.push(own);
    left -= own.length;
  }
  return taken;
}
