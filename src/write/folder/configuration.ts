import { RankscopeError } from '../../base/errors.ts';
import { expertOfStack } from '../../model/names/moduleOfWeight.ts';
import { expertStacks } from '../expertStacks.ts';
import type { Chosen } from '../metadata.ts';

/** What the configuration of a result says that its source's does not. */
export interface FolderConfiguration {
  /** The text of the source's config.json. */
  readonly source: string;
  /** Its path, for errors. */
  readonly path: string;
  /** Members to replace or to add; undefined leaves one out. */
  readonly changes: Readonly<Record<string, unknown>>;
}

/**
 * The text of config.json with some members changed. All others keep their text: a number such as 1.0 would become
 * another type in Python when it was written anew.
 * @throws RankscopeError 'malformed'
 */
export function changedConfiguration({ source, path, changes }: FolderConfiguration): string {
  const members = membersOf(source);
  if (!members) throw new RankscopeError('malformed', path, 'it holds no JSON object', 'Repair it');
  const own = members.filter(([key]) => !Object.hasOwn(changes, key));
  const added = Object.entries(changes).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, JSON.stringify(value, null, 2).replaceAll('\n', '\n  ')] as const],
  );
  const lines = [...own, ...added]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, text]) => `  ${JSON.stringify(key)}: ${text}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/** The keys and the texts of the values of a JSON object, the last of each key; undefined for anything else. */
function membersOf(text: string): (readonly [key: string, value: string])[] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const members = new Map<string, string>();
  let depth = 0;
  let start = text.indexOf('{') + 1;
  let colon = -1;
  for (let at = start; at < text.length; at++) {
    const letter = text[at]!;
    if (letter === '"') at = endOfString(text, at);
    else if (letter === '{' || letter === '[') depth++;
    else if (letter === ':' && depth === 0 && colon < 0) colon = at;
    else if (depth === 0 && (letter === ',' || letter === '}')) {
      if (colon >= 0) members.set(JSON.parse(text.slice(start, colon)) as string, text.slice(colon + 1, at).trim());
      if (letter === '}') break;
      start = at + 1;
      colon = -1;
    } else if (letter === '}' || letter === ']') depth--;
  }
  return [...members];
}

/** The place of the quote that ends the string which begins at `at`. */
function endOfString(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end;
}

/**
 * What the modeling file reads from config.json: the ranks, which weights are stored as (in, out), the ranks of all
 * experts of a stack, and those weights of which the factor A is that of another.
 */
export function plannedRanks(chosen: readonly Chosen[], factors: 2 | 3) {
  const shared = chosen.flatMap(({ matrix, group }) => {
    const [first] = group?.matrices ?? [];
    return first && first !== matrix ? [[matrix.name, first.name] as const] : [];
  });
  const layers = chosen.filter(({ matrix }) => !expertOfStack(matrix.name));
  const transposed = layers.filter(({ matrix }) => matrix.transposed).map(({ matrix }) => matrix.name);
  const stacks = expertStacks(chosen).map(({ name, transposed, ranks }) => [name, { transposed, ranks }] as const);
  return {
    format: 'rankscope.folder/1',
    factors,
    ranks: Object.fromEntries(layers.map(({ matrix, rank }) => [matrix.name, rank])),
    ...(transposed.length > 0 ? { transposed } : {}),
    ...(stacks.length > 0 ? { stacks: Object.fromEntries(stacks) } : {}),
    ...(shared.length > 0 ? { shared: Object.fromEntries(shared) } : {}),
  };
}
