import { groupBy } from '../../../base/groupBy.ts';
import type { MeasuredUnit } from './measuredUnits.ts';

/** Networks in one reading, and bytes that their streams take, at most. */
const [MOST_NETWORKS, MOST_BYTES] = [32, 2 ** 30];
/** A stream is held before the head and behind what stands between. */
const COPIES = 2;

interface ReadingOptions {
  readonly layers: number;
  /** Of one network. */
  readonly streamBytes: number;
  /** Whether the time may end before all is measured. */
  readonly isLimited: boolean;
}

/**
 * Which units pass together, in turn. Neighbours share the most of a reading. Where the time may end, each reading is
 * of one layer, and the layers are ordered so that those measured so far are always spread over the network.
 */
export function readingsOf(units: readonly MeasuredUnit[], options: ReadingOptions): MeasuredUnit[][] {
  const { layers, streamBytes, isLimited } = options;
  const most = Math.max(1, Math.min(MOST_NETWORKS, Math.floor(MOST_BYTES / COPIES / streamBytes)));
  const sorted = [...units].sort((a, b) => (a.layer ?? layers) - (b.layer ?? layers));
  if (!isLimited) return chunks(sorted, most);
  const places = spreadOut(layers);
  const byLayer = [...groupBy(sorted, ({ layer }) => String(layer)).values()];
  const place = ([first]: readonly MeasuredUnit[]) => (first!.layer === null ? -1 : places[first!.layer]!);
  return byLayer.sort((a, b) => place(a) - place(b)).flatMap((layer) => chunks(layer, most));
}

function chunks<Item>(items: readonly Item[], most: number): Item[][] {
  const count = Math.ceil(items.length / most);
  return Array.from({ length: count }, (_, k) =>
    items.slice(Math.floor((k * items.length) / count), Math.floor(((k + 1) * items.length) / count)),
  );
}

/**
 * The turn of each layer: first the middle one, the last and the first, which are unlike the others, then those in the
 * middle of what is left between, and so on.
 */
export function spreadOut(layers: number): number[] {
  const order = new Set([layers >> 1, layers - 1, 0]);
  const spans: [number, number][] = [[0, layers]];
  for (const [start, end] of spans) {
    if (start >= end) continue;
    const middle = (start + end) >> 1;
    order.add(middle);
    spans.push([start, middle], [middle + 1, end]);
  }
  const turns = new Array<number>(layers);
  for (const [turn, layer] of [...order].entries()) turns[layer] = turn;
  return turns;
}
