/** What a pickle describes, as inert data. Nothing here can run: a call remains the description of a call. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | ListValue
  | DictValue
  | GlobalValue
  | CallValue
  | PersistentValue;

export interface ListValue {
  readonly kind: 'list' | 'tuple' | 'set';
  readonly items: Value[];
}

/**
 * Alternating keys and values, in their order. Not a Map, because a hostile file could make the hashes of its numbers
 * collide.
 */
export type Entries = Value[];

export interface DictValue {
  readonly kind: 'dict';
  readonly entries: Entries;
}

/** A name that Python's unpickler would import. */
export interface GlobalValue {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

/** A call that Python's unpickler would make, and what it would then do to the result. */
export interface CallValue {
  readonly kind: 'call';
  readonly callable: Value;
  readonly args: Value;
  /** The argument of __setstate__. */
  state?: Value;
  /** Items that would be appended. */
  items?: Value[];
  /** Items that would be set by key. */
  entries?: Entries;
  /** The reference that a reader resolved this call to. */
  resolved?: PersistentValue;
}

/** A reference to something outside the pickle, such as the storage of a tensor. */
export interface PersistentValue {
  readonly kind: 'persistent';
  readonly id: Value;
}

interface Kinds {
  readonly dict: DictValue;
  readonly global: GlobalValue;
  readonly call: CallValue;
  readonly persistent: PersistentValue;
}

/** The value if it is of this kind. */
export function asKind<K extends keyof Kinds>(value: Value | undefined, kind: K): Kinds[K] | undefined {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind
    ? (value as Kinds[K])
    : undefined;
}

/** The items of a tuple or list; undefined for anything else. */
export function itemsOf(value: Value | undefined): readonly Value[] | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return undefined;
  return value.kind === 'tuple' || value.kind === 'list' ? value.items : undefined;
}

/** The pairs of a dictionary. The last value of a repeated key counts, as in Python. */
export function pairsOf(entries: Entries): [key: Value, value: Value][] {
  const pairs: [Value, Value][] = [];
  const places = new Map<string, number>();
  for (let at = 0; at + 1 < entries.length; at += 2) {
    const pair: [Value, Value] = [entries[at]!, entries[at + 1]!];
    const key = pair[0];
    // Objects are compared by identity.
    if (typeof key === 'object') {
      pairs.push(pair);
      continue;
    }
    const name = `${typeof key} ${key}`;
    const place = places.get(name);
    if (place === undefined) places.set(name, pairs.push(pair) - 1);
    else pairs[place] = pair;
  }
  return pairs;
}

/** Whether a dictionary has all of these keys. */
export function hasKeys(entries: Entries, ...keys: readonly string[]): boolean {
  return keys.every((key) => {
    for (let at = 0; at < entries.length; at += 2) if (entries[at] === key) return true;
    return false;
  });
}

/** `module.name` of a global; undefined for anything else. */
export function globalName(value: Value | undefined): string | undefined {
  const global = asKind(value, 'global');
  return global && `${global.module}.${global.name}`;
}

/** All empty tuples are this one, since no opcode can change a tuple. */
export const EMPTY_TUPLE: ListValue = { kind: 'tuple', items: [] };
