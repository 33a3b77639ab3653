import type { MatrixFinding } from './findings.ts';

/** The distribution of one number over the experts of a group that are known. */
export interface Distribution {
  readonly least: number;
  readonly quartiles: readonly [number, number];
  readonly median: number;
  readonly most: number;
  /** Names of the matrices with the least and the greatest value. */
  readonly leastName: string;
  readonly mostName: string;
}

/** The distribution of `value` over `findings`; null if none of them has it. */
export function distributionOf(
  findings: readonly MatrixFinding[],
  value: (finding: MatrixFinding) => number | null,
): Distribution | null {
  const known = findings
    .map((finding) => ({ name: finding.name, value: value(finding) ?? Number.NaN }))
    .filter((each) => Number.isFinite(each.value))
    .sort((a, b) => a.value - b.value);
  const [first, last] = [known[0], known.at(-1)];
  if (!first || !last) return null;
  const sorted = Float64Array.from(known, (each) => each.value);
  return {
    least: first.value,
    quartiles: [quantile(sorted, 0.25), quantile(sorted, 0.75)],
    median: quantile(sorted, 0.5),
    most: last.value,
    leastName: first.name,
    mostName: last.name,
  };
}

/** The value below which this share of the sorted values lies, interpolated as numpy does; NaN without values. */
export function quantile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const place = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
  return below + (above - below) * (place - Math.floor(place));
}
