/** A rectangle on a chart, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A horizontal line with the size of its label, in pixels. */
export interface LevelSize {
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Steps in which the place of a label is looked for. */
const STEP = 6;

/** What lies on a chart: its area, labels that must not be covered, and lines and a curve that had better not cross a label. */
interface Scene {
  readonly area: Box;
  readonly labels: readonly Box[];
  readonly lines: readonly Box[];
  readonly curve: readonly Box[];
}

/**
 * Where the labels of `levels` go, one after the other: above or below their own line, where they cover no other label; where also no
 * line and not the curve crosses them, or at least no line, as long as there is such a place; at the right end first. undefined for one
 * that has no room.
 */
export function placeLevels(levels: readonly LevelSize[], { area, labels, lines, curve }: Scene): (Box | undefined)[] {
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

/** Every place beside the line that lies in the area: from the right to the left, above the line before below it. */
function placesOf({ y, width, height }: LevelSize, area: Box): Box[] {
  const rows = [y - 1 - height, y + 1].filter((top) => top >= area.top && top + height <= area.bottom);
  const boxes: Box[] = [];
  for (let left = area.right - width; left >= area.left; left -= STEP) {
    for (const top of rows) boxes.push({ left, top, right: left + width, bottom: top + height });
  }
  return boxes;
}
