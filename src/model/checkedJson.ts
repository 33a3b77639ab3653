import { RankscopeError } from '../base/errors.ts';

/** A value of an untrusted JSON document and its position, which errors name. */
export interface Found {
  readonly file: string;
  readonly at: string;
  readonly value: unknown;
}

/** @throws RankscopeError 'malformed' with `remedy`. */
export function parseJson(text: string, file: string, remedy: string): Found {
  try {
    return { file, at: '', value: JSON.parse(text) };
  } catch (error) {
    throw new RankscopeError('malformed', file, `not JSON (${(error as Error).message})`, remedy);
  }
}

export function fail({ file, at, value }: Found, expected: string): never {
  const shown = JSON.stringify(value) ?? 'nothing';
  const found = `${at || 'the whole'} is ${shown.length > 60 ? `${shown.slice(0, 60)}...` : shown}`;
  throw new RankscopeError('malformed', file, found, `Expected ${expected}`);
}

/** The members of an object that must have all of `required` and may have those of `optional`, but no others. */
export function members<Key extends string, Other extends string = never>(
  place: Found,
  required: readonly Key[],
  optional: readonly Other[] = [],
): Record<Key, Found> & Partial<Record<Other, Found>> {
  const entries = new Map(dictionary(place));
  for (const name of required) if (!entries.has(name)) fail(place, `a member '${name}'`);
  const known: readonly string[] = [...required, ...optional];
  for (const [name, member] of entries) if (!known.includes(name)) fail(member, `no such member (${known.join(', ')})`);
  return Object.fromEntries(entries) as Record<Key, Found> & Partial<Record<Other, Found>>;
}

/** Name and value of each own member, `__proto__` included. */
export function dictionary(place: Found): [string, Found][] {
  const { file, at, value } = place;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(place, 'an object');
  return Object.entries(value as object).map(([name, member]) => [
    name,
    { file, at: at ? `${at}.${name}` : name, value: member },
  ]);
}

export function list(place: Found): Found[] {
  const { file, at, value } = place;
  if (!Array.isArray(value)) fail(place, 'a list');
  return value.map((item: unknown, k) => ({ file, at: `${at}[${k}]`, value: item }));
}

export function text(place: Found): string {
  return typeof place.value === 'string' ? place.value : fail(place, 'a string');
}

export function oneOf<Value extends string | number | boolean>(place: Found, values: readonly Value[]): Value {
  return values.includes(place.value as Value) ? (place.value as Value) : fail(place, `one of ${values.join(', ')}`);
}

export function wholeNumber(place: Found, low: number, high = Number.MAX_SAFE_INTEGER): number {
  const { value } = place;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= low && value <= high) return value;
  return fail(
    place,
    high < Number.MAX_SAFE_INTEGER ? `a whole number from ${low} to ${high}` : `a whole number of at least ${low}`,
  );
}

export function amount(place: Found): number {
  const { value } = place;
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? value
    : fail(place, 'a number of at least 0');
}
