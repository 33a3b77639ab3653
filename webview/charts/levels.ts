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

/**
 * Where the labels of `levels` go within `area`, one after the other: above or below their own line, where they cover nothing of
 * `labels` nor each other, and are crossed by none of `lines` as long as there is such a place; at the right end first. undefined for
 * one that has no room.
 */
export function placeLevels(
  levels: readonly LevelSize[],
  { area, labels, lines }: { readonly area: Box; readonly labels: readonly Box[]; readonly lines: readonly Box[] },
): (Box | undefined)[] {
  const taken = [...labels];
  return levels.map((level) => {
    const candidates = placesOf(level, area).filter((box) => taken.every((other) => !overlap(box, other)));
    const place = candidates.find((box) => lines.every((line) => !overlap(box, line))) ?? candidates[0];
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
