/** A rank that the curves point out. */
export interface Mark {
  readonly name: string;
  /** Of a mark of energy: the percentage it keeps. Those that stand close together share one label. */
  readonly percent?: number;
  readonly rank: number;
  readonly color: string;
  readonly dash: readonly number[];
}

/** How a mark is drawn. */
export interface Placed {
  /** Whether it has a line of its own: one that touches another of its kind adds nothing. */
  readonly line: boolean;
  /** Empty where there is no room. */
  readonly label: string;
  /** The label's centre from the line, in pixels. */
  readonly shift: number;
}

/** Half the width of a label that stands upright, and the distance of its centre from its line, in pixels. */
const HALF = 6;
const SHIFT = 7;
const LINE_GAP = 4;

/**
 * Places the labels of `marks` (the most important first) that stand at `positions` between `left` and `right` (pixels). Marks of
 * energy closer than a label is wide are told by one label (`90–99 % 1–3`); a label goes to the side of its line where no other label
 * and no other line is, and is left out where there is none.
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

/** Indices of marks that share a label, each group in ascending order of rank; a group stands where its most important mark stood. */
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

/** Those of `group` whose lines can be told apart; the first always can. */
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
 * Indices to draw of a curve of `count` points: all, or evenly spaced ones joined with geometrically spaced ones, so that the head of
 * the spectrum keeps its shape on a logarithmic axis. First and last are always among them.
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
