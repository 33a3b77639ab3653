import { SELECTOR_KEYS, type Target } from './pythonTarget.ts';

/** Longer files, in characters, are not configurations. */
const LENGTH_LIMIT = 1_000_000;

/**
 * The target at `offset` in a JSON text: a string that may name a tensor, or an entry of `target_modules` and the like.
 */
export function jsonTarget(text: string, offset: number): Target | undefined {
  if (text.length > LENGTH_LIMIT) return undefined;
  /** The key of each open bracket. */
  const under: string[] = [];
  let key = '';
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\\n]|\\.)*"|[{}[\],:]|\/\/[^\n]*/g)) {
    if (index > offset) return undefined;
    const end = index + token.length;
    if (token.startsWith('"')) {
      const isKey = /^\s*:/.test(text.slice(end, end + 50));
      const name = unquoted(token);
      if (offset < end) return named(name, isSelected(under, isKey ? '' : key), text, index, end);
      if (isKey) key = name;
    } else if (token === '{' || token === '[') {
      under.push(key);
      key = '';
    } else if (token === '}' || token === ']') {
      under.pop();
      key = '';
    } else if (token === ',') key = '';
  }
  return undefined;
}

/**
 * The target at `offset` in a YAML text, found by lines and indentation: lists in block or flow style, and keys of a
 * mapping.
 */
export function yamlTarget(text: string, offset: number): Target | undefined {
  if (text.length > LENGTH_LIMIT) return undefined;
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', offset);
  const line = text.slice(start, end < 0 ? text.length : end);
  for (const { 0: token, index } of line.matchAll(/"[^"]*"|'[^']*'|[^\s,[\]{}:"'#]+/g)) {
    const from = start + index;
    if (token === '-' || offset < from || offset >= from + token.length) continue;
    if (/(?:^|\s)#/.test(line.slice(0, index))) return undefined;
    const isKey = /^\s*:/.test(line.slice(index + token.length));
    const keys = yamlKeys(text.slice(0, start), line, isKey ? index : line.length);
    return named(unquoted(token), isSelected(keys, ''), text, from, from + token.length);
  }
  return undefined;
}

/** The keys that enclose a column of `line`: the one on the line itself and those of less indented lines above. */
function yamlKeys(before: string, line: string, column: number): string[] {
  const keys: string[] = [];
  const own = /^(\s*)(?:-\s+)?(["']?)([\w.]+)\2\s*:/.exec(line.slice(0, column));
  if (own) keys.push(own[3] ?? '');
  // A list item may have the same indentation as the key of its list.
  let indent = (/^\s*/.exec(line)?.[0].length ?? 0) + (/^\s*-/.test(line) ? 1 : 0);
  for (const above of before.split('\n').reverse()) {
    const match = /^(\s*)(["']?)([\w.]+)\2\s*:/.exec(above);
    if (!match || (match[1]?.length ?? 0) >= indent) continue;
    keys.push(match[3] ?? '');
    indent = match[1]?.length ?? 0;
    if (indent === 0) break;
  }
  return keys;
}

const isSelected = (under: readonly string[], key: string): boolean =>
  SELECTOR_KEYS.has(key) || under.some((name) => SELECTOR_KEYS.has(name));

function named(name: string, selects: boolean, text: string, from: number, to: number): Target | undefined {
  if (name === '' || name.length > 300) return undefined;
  const line = text.slice(0, from).split('\n').length - 1;
  const start = from - (text.lastIndexOf('\n', from - 1) + 1);
  return { kind: selects ? 'selector' : 'name', text: name, span: { line, start, end: start + to - from } };
}

function unquoted(token: string): string {
  if (token.startsWith("'")) return token.slice(1, -1);
  if (!token.startsWith('"')) return token;
  try {
    return JSON.parse(token) as string;
  } catch {
    return '';
  }
}
