// Singular values of an upper bidiagonal matrix B in f64 by dqds (Fernando and Parlett 1994), falling back to bisection
// if its shifts fail.

/** Entries below this fraction of the largest are replaced: that moves no value by more (Weyl), and rules out 0 / 0. */
const NEGLIGIBLE = 2 ** -50;
/** An off-diagonal square below this fraction of the diagonal is dropped. */
const SPLIT = 2 ** -80;
/** A relative error of squared values far below what f32 entries determine. */
const ENOUGH = 2 ** -32;

/**
 * @param diagonal n entries
 * @param superdiagonal n - 1 entries
 * @param looseness relative error allowed in a squared value; 0 for the least that f64 allows
 * @returns n values, descending; all NaN if an entry is not finite
 */
export function dqdsValues(diagonal: Float64Array, superdiagonal: Float64Array, looseness = ENOUGH): Float64Array {
  const n = diagonal.length;
  let scale = 0;
  for (const x of diagonal) scale = Math.max(scale, Math.abs(x));
  for (const x of superdiagonal) scale = Math.max(scale, Math.abs(x));
  if (scale === 0) return new Float64Array(n);
  if (!Number.isFinite(scale)) return new Float64Array(n).fill(Number.NaN);

  const q = Float64Array.from(diagonal, (x) => Math.max(NEGLIGIBLE, Math.abs(x) / scale) ** 2);
  const e = Float64Array.from(superdiagonal, (x) => (Math.abs(x) / scale < NEGLIGIBLE ? 0 : (x / scale) ** 2));
  const squares = new Float64Array(n);
  let from = 0;
  for (let i = 0; i < n; i++) {
    if (i < n - 1 && e[i]! > 0) continue;
    segment(q.subarray(from, i + 1), e.subarray(from, i), squares.subarray(from, i + 1), looseness);
    from = i + 1;
  }
  return squares
    .map((x) => Math.sqrt(Math.max(0, x)) * scale)
    .sort()
    .reverse();
}

/** Writes the eigenvalues of B^T B, for an unreduced B with squared entries q and e, to `out` in any order. */
function segment(q: Float64Array, e: Float64Array, out: Float64Array, looseness: number): void {
  const work = {
    q: Float64Array.from(q),
    e: Float64Array.from(e),
    nextQ: new Float64Array(q.length),
    nextE: new Float64Array(e.length),
  };
  let high = q.length - 1;
  let found = 0;
  let shifted = 0;
  let budget = 30 * q.length;
  while (high >= 0) {
    if (high === 0 || work.e[high - 1]! <= SPLIT * (shifted + work.q[high]!)) {
      out[found++] = shifted + work.q[high]!;
      high--;
      continue;
    }
    if (high === 1 || work.e[high - 2]! <= SPLIT * (shifted + work.q[high - 1]!)) {
      const [large, small] = pair(work.q[high - 1]!, work.e[high - 1]!, work.q[high]!);
      out[found++] = shifted + large;
      out[found++] = shifted + small;
      high -= 2;
      continue;
    }
    const last = high > 2 ? detach(work, high, shifted, looseness) : undefined;
    if (last !== undefined) {
      out[found++] = shifted + last;
      high--;
      continue;
    }
    if (--budget < 0) {
      bisect(q, e, out);
      return;
    }
    let low = high - 1;
    while (low > 0 && work.e[low - 1]! > SPLIT * (shifted + work.q[low]!)) low--;
    if (low > 0) {
      // The matrix splits; the accumulated shift applies to both parts.
      const rest = new Float64Array(high - low + 1);
      segment(work.q.slice(low, high + 1), work.e.slice(low, high), rest, looseness);
      for (const value of rest) out[found++] = shifted + value;
      high = low - 1;
      continue;
    }
    if (work.q[0]! * 2 < work.q[high]!) reverse(work, high);
    shifted += pass(work, high);
  }
}

/**
 * Deflates the smaller eigenvalue of the trailing 2 x 2 block of B B^T if it hardly couples to the rest, one pass
 * before the last off-diagonal entry itself becomes negligible. Returns undefined if it couples.
 */
function detach({ q, e }: Work, high: number, shifted: number, looseness: number): number | undefined {
  const [before, last] = [q[high - 1]!, q[high]!];
  // If the last row were the larger, the smaller eigenvalue would belong to the row that stays.
  if (before < last) return undefined;
  const [large, small] = pair(before, e[high - 1]!, last);
  // Every remaining eigenvalue is at least `shifted`, so this is a relative accuracy for each.
  const allowed = looseness * shifted;
  const gap = large - small;
  const coupling = ((before * e[high - 2]!) / gap) * ((last * e[high - 1]!) / gap);
  // The row that stays gets `large` on its diagonal; keeping its off-diagonal entry perturbs the row above by what is
  // bounded here.
  if (!(coupling <= allowed * allowed && ((large - before) / before) * e[high - 2]! <= allowed)) return undefined;
  e[high - 2]! *= before / large;
  q[high - 1] = large;
  return small;
}

interface Work {
  q: Float64Array;
  e: Float64Array;
  nextQ: Float64Array;
  nextE: Float64Array;
}

/** A matrix graded the wrong way converges slowly; its flip converges at once. */
function reverse({ q, e }: Work, high: number): void {
  q.subarray(0, high + 1).reverse();
  e.subarray(0, high).reverse();
}

/** One transform with the largest shift found to be safe, which it returns; swaps the arrays. */
function pass(work: Work, high: number): number {
  let shift = guess(work, high);
  for (let tries = 0; ; tries++) {
    if (transform(work, high, shift)) {
      [work.q, work.nextQ, work.e, work.nextE] = [work.nextQ, work.q, work.nextE, work.e];
      return shift;
    }
    shift = tries < 2 && shift > 0 ? shift * 0.25 : 0;
  }
}

/**
 * A value just below the smallest eigenvalue, from the last rows of B B^T; its error is of third order once these
 * decouple.
 */
function guess({ q, e }: Work, high: number): number {
  const last = q[high]!;
  const before = e[high - 1]!;
  const [, small] = pair(q[high - 1]!, before, last);
  const coupling = high > 1 ? e[high - 2]! : 0;
  const gap = q[high - 1]! - last;
  if (gap <= 0 || before > 0.25 * last) return 0.25 * small;
  // The leading part of B B^T couples to the trailing 2 x 2 block through sqrt(q e): the most that this can take from
  // the eigenvalue.
  const loss = ((before * last) / (gap * gap)) * coupling;
  return Math.max(0, small - 2 * loss - 4 * Number.EPSILON * last);
}

/** Where y leaves this range, x / y is divided out: otherwise either could overflow or vanish. */
const [LEAST_Y, MOST_Y] = [2 ** -32, 2 ** 32];

/**
 * dqds transform by `shift` into nextQ and nextE; false if it does not stay positive. Its d is held as x / y, so that
 * no step waits for the division of the one before: d' = d q / (d + e) - shift is x' = q x - shift y', y' = x + e y.
 */
function transform({ q, e, nextQ, nextE }: Work, high: number, shift: number): boolean {
  let x = q[0]! - shift;
  if (!(x >= 0)) return shift === 0;
  let y = 1;
  for (let i = 0; i < high; i++) {
    const nextY = x + e[i]! * y;
    const sum = nextY / y;
    const next = q[i + 1]!;
    nextQ[i] = sum;
    nextE[i] = (e[i]! * next) / sum;
    x = next * x - shift * nextY;
    y = nextY;
    if (!(x >= 0) && shift > 0) return false;
    if (y < LEAST_Y || y > MOST_Y) {
      x /= y;
      y = 1;
    }
  }
  nextQ[high] = x / y;
  return true;
}

/**
 * Eigenvalues, larger first, of the 2 x 2 matrix B^T B whose B has the squared entries a, b (off the diagonal) and c.
 */
function pair(a: number, b: number, c: number): [number, number] {
  const sum = a + b + c;
  const root = Math.sqrt(Math.max(0, (a - c + b) ** 2 + 4 * b * c));
  const large = (sum + root) / 2;
  return large === 0 ? [0, 0] : [large, (a / large) * c];
}

/** Every eigenvalue by bisection on the number of negative pivots of B^T B - x: slow but certain. */
function bisect(q: Float64Array, e: Float64Array, out: Float64Array): void {
  const n = q.length;
  let bound = 0;
  for (let i = 0; i < n; i++)
    bound = Math.max(bound, q[i]! + (e[i - 1] ?? 0) + 2 * Math.sqrt(q[i]! * (e[i] ?? 0)) + (e[i] ?? 0));
  for (let k = 0; k < n; k++) {
    let low = 0;
    let high = bound * 1.01;
    for (let i = 0; i < 90 && high - low > 1e-16 * high; i++) {
      const middle = (low + high) / 2;
      if (below(q, e, middle) > k) high = middle;
      else low = middle;
    }
    out[k] = (low + high) / 2;
  }
}

/** The number of eigenvalues of B^T B below x: the negative pivots of one dqds transform by x. */
function below(q: Float64Array, e: Float64Array, x: number): number {
  const tiny = Number.MIN_VALUE * 2 ** 52;
  let count = 0;
  let d = q[0]! - x;
  for (let i = 0; i < e.length; i++) {
    const sum = d + e[i]!;
    const pivot = Math.abs(sum) < tiny ? -tiny : sum;
    if (pivot < 0) count++;
    d = d * (q[i + 1]! / pivot) - x;
    if (Number.isNaN(d)) return count;
  }
  return d < 0 ? count + 1 : count;
}
