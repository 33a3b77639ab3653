/** A rectangle on a chart, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A horizontal line and the size of its label, in pixels. */
export interface LevelSize {
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Distance between two tried positions of a label, in pixels. */
const STEP = 6;

/**
 * What else is on the chart: labels, which must not be covered, and lines and a curve, which should not cross a label.
 */
interface Surroundings {
  readonly area: Box;
  readonly labels: readonly Box[];
  readonly lines: readonly Box[];
  readonly curve: readonly Box[];
}

/**
 * Places the labels of `levels` one after the other, above or below their line and as far right as possible. A label
 * never covers another one. Positions crossed by no line and not by the curve come first, then those crossed by no
 * line. undefined for a label without room.
 */
export function placeLevels(
  levels: readonly LevelSize[],
  { area, labels, lines, curve }: Surroundings,
): (Box | undefined)[] {
  const taken = [...labels];
  return levels.map((level) => {
    const candidates = placesOf(level, area).filter((box) => taken.every((other) => !overlap(box, other)));
    const uncrossed = candidates.filter((box) => lines.every((line) => !overlap(box, line)));
    const clear = uncrossed.find((box) => curve.every((part) => !overlap(box, part)));
    const place = clear ?? uncrossed[0] ?? candidates[0];
    if (place) taken.push(place);
    return place;
  });
}

export const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** The positions beside the line within the area: from right to left, and above the line before below it. */
function placesOf({ y, width, height }: LevelSize, area: Box): Box[] {
  const rows = [y - 1 - height, y + 1].filter((top) => top >= area.top && top + height <= area.bottom);
  const boxes: Box[] = [];
  for (let left = area.right - width; left >= area.left; left -= STEP) {
    for (const top of rows) boxes.push({ left, top, right: left + width, bottom: top + height });
  }
  return boxes;
}
