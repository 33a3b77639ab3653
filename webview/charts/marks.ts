/** A rank marked in the curves. */
export interface Mark {
  readonly name: string;
  /** The percentage of energy kept at this rank. Such marks share a label where they are close together. */
  readonly percent?: number;
  readonly rank: number;
  readonly color: string;
  readonly dash: readonly number[];
}

/** How a mark is drawn. */
export interface Placed {
  /** Whether the mark has a line; one that touches another line of its group adds nothing. */
  readonly line: boolean;
  /** Empty without room. */
  readonly label: string;
  /** Distance of the label's centre from the line, in pixels. */
  readonly shift: number;
}

/** Half the width of an upright label, and the distance of its centre from its line, in pixels. */
const HALF = 6;
const SHIFT = 7;
const LINE_GAP = 4;

/**
 * Places the labels of `marks` (most important first) at `positions` between `left` and `right` (pixels). Energy marks
 * closer than the width of a label share one (`90–99 % 1–3`). A label goes to the side of its line that is free of
 * other labels and lines, and is left out if neither is.
 */
export function placeMarks(
  marks: readonly Mark[],
  positions: readonly number[],
  left: number,
  right: number,
): readonly Placed[] {
  const placed: Placed[] = marks.map(() => ({ line: false, label: '', shift: 0 }));
  const groups = grouped(marks, positions);
  const lines = groups.flatMap((group) => thinned(group, positions));
  for (const index of lines) placed[index] = { ...placed[index]!, line: true };
  const taken: number[] = [];
  for (const group of groups) {
    const own = lines.filter((index) => group.includes(index));
    const others = lines.filter((index) => !group.includes(index)).map((index) => positions[index]!);
    const found = [
      { index: own[0]!, shift: -SHIFT },
      { index: own.at(-1)!, shift: SHIFT },
    ].find(({ index, shift }) => {
      const center = positions[index]! + shift;
      return (
        center - HALF >= left &&
        center + HALF <= right &&
        taken.every((other) => Math.abs(other - center) > 2 * HALF) &&
        others.every((line) => Math.abs(line - center) >= HALF)
      );
    });
    if (!found) continue;
    taken.push(positions[found.index]! + found.shift);
    placed[found.index] = { line: true, label: labelOf(group.map((index) => marks[index]!)), shift: found.shift };
  }
  return placed;
}

/**
 * Groups marks that share a label, each group by ascending rank; a group takes the place of its most important mark.
 */
function grouped(marks: readonly Mark[], positions: readonly number[]): number[][] {
  const energy = marks.flatMap(({ percent }, index) => (percent === undefined ? [] : [index]));
  energy.sort((a, b) => marks[a]!.percent! - marks[b]!.percent!);
  const groups: number[][] = marks.flatMap(({ percent }, index) => (percent === undefined ? [[index]] : []));
  let group: number[] = [];
  for (const index of energy) {
    if (group.length === 0 || positions[index]! - positions[group[0]!]! >= 2 * HALF) {
      group = [];
      groups.push(group);
    }
    group.push(index);
  }
  return groups.sort((a, b) => Math.min(...a) - Math.min(...b));
}

/** The marks of `group` whose lines can be told apart, the first included. */
function thinned(group: readonly number[], positions: readonly number[]): number[] {
  const lines: number[] = [];
  for (const index of group) {
    const last = lines.at(-1);
    if (last === undefined || positions[index]! - positions[last]! >= LINE_GAP) lines.push(index);
  }
  return lines;
}

function labelOf(group: readonly Mark[]): string {
  const [first, last] = [group[0]!, group.at(-1)!];
  const name = first === last ? first.name : `${first.percent}–${last.name}`;
  return `${name} ${first.rank === last.rank ? first.rank : `${first.rank}–${last.rank}`}`;
}

/**
 * The points to draw of a curve of `count` points: all or, above `limit`, evenly and geometrically spaced ones, so that
 * the head of the spectrum keeps its shape on a logarithmic axis. First and last are always included.
 */
export function sampledIndices(count: number, limit = 1600): number[] {
  if (count <= limit) return Array.from({ length: count }, (_, index) => index);
  const half = Math.floor(limit / 2);
  const chosen = new Set<number>();
  for (let i = 0; i < half; i++) {
    chosen.add(Math.round((i / (half - 1)) * (count - 1)));
    chosen.add(Math.round(count ** (i / (half - 1))) - 1);
  }
  return [...chosen].sort((a, b) => a - b);
}
