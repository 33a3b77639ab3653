/**
 * A message with the findings of thousands of matrices blocks the thread that packs it and the one that unpacks it. In
 * fragments it takes the same time in total, and other work gets its turn in between.
 */

/** Weight of a fragment at most: about 20 KB as JSON, which an extension host packs in a millisecond. */
export const FRAGMENT_WEIGHT = 1000;
/** Characters of text that weigh as much as a number. */
const CHARACTERS = 16;

type Path = readonly (string | number)[];

/** Part of a plain value: the value at path `at` or, if `joined`, a continuation of the list, object or text there. */
export interface Fragment {
  readonly at: Path;
  readonly value: unknown;
  readonly joined?: true;
}

/**
 * The fragments of a plain value (JSON and undefined) in the order in which `Assembly` takes them; a single one if the
 * value is small. They are made on demand, so the value must not change until the last one is taken.
 */
export function* cutUp(value: unknown, at: Path = []): Generator<Fragment, void> {
  if (weigh(value) <= FRAGMENT_WEIGHT) yield { at, value };
  else if (typeof value === 'string') yield* cutText(value, at);
  else if (Array.isArray(value)) {
    yield { at, value: [] };
    yield* cutEntries(value.entries(), at, (entries) => entries.map(([, item]) => item));
  } else {
    yield { at, value: {} };
    yield* cutEntries(entriesOf(value as Container), at, Object.fromEntries);
  }
}

/** Reassembles a value that `cutUp` took apart. */
export class Assembly {
  private whole: unknown;

  get value(): unknown {
    return this.whole;
  }

  add({ at, value, joined }: Fragment): void {
    const key = at.at(-1);
    if (key === undefined) this.whole = joined ? join(this.whole, value) : value;
    else {
      const parent = at.slice(0, -1).reduce((place, step) => place[step] as Container, this.whole as Container);
      put(parent, key, joined ? join(parent[key], value) : value);
    }
  }
}

type Container = Record<string | number, unknown>;
type Entry = readonly [key: string | number, value: unknown];

/** The number of values in `value`, text counted by `CHARACTERS`; counting stops above `limit`. */
export function weigh(value: unknown, limit: number = FRAGMENT_WEIGHT): number {
  if (typeof value === 'string') return 1 + Math.floor(value.length / CHARACTERS);
  if (typeof value !== 'object' || value === null) return 1;
  let weight = 1;
  for (const key in value) {
    weight += weigh((value as Container)[key], limit - weight);
    if (weight > limit) break;
  }
  return weight;
}

function* cutText(text: string, at: Path): Generator<Fragment, void> {
  const length = FRAGMENT_WEIGHT * CHARACTERS;
  yield { at, value: '' };
  for (let start = 0; start < text.length; start += length) {
    yield { at, value: text.slice(start, start + length), joined: true };
  }
}

/** Groups light entries; a heavy one is cut up itself. */
function* cutEntries(
  entries: Iterable<Entry>,
  at: Path,
  together: (entries: readonly Entry[]) => unknown,
): Generator<Fragment, void> {
  let light: Entry[] = [];
  let sum = 0;
  for (const entry of entries) {
    const weight = weigh(entry[1]);
    if (sum + weight > FRAGMENT_WEIGHT && light.length > 0) {
      yield { at, value: together(light), joined: true };
      light = [];
      sum = 0;
    }
    if (weight > FRAGMENT_WEIGHT) yield* cutUp(entry[1], [...at, entry[0]]);
    else {
      light.push(entry);
      sum += weight;
    }
  }
  if (light.length > 0) yield { at, value: together(light), joined: true };
}

function* entriesOf(container: Container): Generator<Entry, void> {
  for (const key in container) yield [key, container[key]];
}

function join(before: unknown, more: unknown): unknown {
  if (typeof before === 'string') return before + String(more);
  if (Array.isArray(before)) for (const item of more as unknown[]) before.push(item);
  else for (const [key, value] of Object.entries(more as object)) put(before as Container, key, value);
  return before;
}

// A tensor may be called __proto__, which must stay an ordinary key.
function put(container: Container, key: string | number, value: unknown): void {
  if (key !== '__proto__') container[key] = value;
  else Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
}
