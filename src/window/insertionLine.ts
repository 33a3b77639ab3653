/**
 * The line of a Python text in front of which definitions go: behind its comments, docstring and imports at the top, so
 * that all code below may use them. 0-based.
 */
export function insertionLine(text: string): number {
  const lines = text.split(/\r?\n/);
  let line = 0;
  let behind = /^#!/.test(text) ? 1 : 0;
  let isFirst = true;
  while (line < lines.length) {
    const end = endOfTop(lines, line, isFirst);
    if (end === undefined) break;
    if (!/^\s*(#|$)/.test(lines[line]!)) {
      behind = end;
      isFirst = false;
    }
    line = end;
  }
  return behind;
}

/** The line behind what starts at `line`, if it belongs to the top of a module. */
function endOfTop(lines: readonly string[], line: number, mayBeDocstring: boolean): number | undefined {
  const text = lines[line]!;
  if (/^\s*(#|$)/.test(text)) return line + 1;
  const [, quotes] = /^[rRuU]?("""|''')/.exec(text) ?? [];
  if (quotes !== undefined && mayBeDocstring) {
    const isOneLine = text.indexOf(quotes, text.indexOf(quotes) + 3) >= 0;
    const last = isOneLine ? line : lines.findIndex((each, at) => at > line && each.includes(quotes));
    return last < 0 ? undefined : last + 1;
  }
  if (!/^(import|from)\s/.test(text)) return undefined;
  const closing = (each: string) => each.replace(/#.*/, '').includes(')');
  let last = line;
  if (/\($|\([^)]*$/.test(text.replace(/#.*/, '').trimEnd())) {
    last = lines.findIndex((each, at) => at > line && closing(each));
    if (last < 0) return undefined;
  }
  while (lines[last]!.endsWith('\\') && last + 1 < lines.length) last++;
  return last + 1;
}
