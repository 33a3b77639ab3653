/** The width of a table, to which names are shortened as far as they stay distinct. */
const WIDTH = 100;

/** Rows of text under headings: the first column is left-aligned and shortened if needed, the others right-aligned. */
export function* table(headings: readonly string[], rows: readonly (readonly string[])[]): Generator<string> {
  const widths = headings.map((heading, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), heading.length),
  );
  const others = widths.slice(1).reduce((sum, width) => sum + 2 + width, 0);
  widths[0] = distinctWidth(
    rows.map(([name = '']) => name),
    Math.max(16, WIDTH - others),
    widths[0] ?? 0,
  );
  for (const row of [headings, ...rows]) {
    const cells = widths.map((width, column) => {
      const cell = row[column] ?? '';
      return column === 0 ? shorten(cell, width).padEnd(width) : cell.padStart(width);
    });
    yield `${cells.join('  ').trimEnd()}\n`;
  }
}

/** The least width from `least` to `most` at which different names are still different when they are shortened. */
function distinctWidth(names: readonly string[], least: number, most: number): number {
  const count = new Set(names).size;
  let width = Math.min(least, most);
  while (width < most && new Set(names.map((name) => shorten(name, width))).size < count) width++;
  return width;
}

/** Names without their common prefix, up to a dot, and without `.weight`: the rest tells them apart. */
export function shortNames(names: readonly string[]): string[] {
  const [first = '', ...others] = names;
  let prefix = others.length > 0 ? first.slice(0, first.lastIndexOf('.') + 1) : '';
  while (prefix !== '' && !others.every((name) => name.startsWith(prefix))) {
    prefix = prefix.slice(0, prefix.lastIndexOf('.', prefix.length - 2) + 1);
  }
  return names.map((name) => name.slice(prefix.length).replace(/(?<=.)\.weight(?=(\[\d+\])?$)/, ''));
}

/** Keeps the start and the end, which tell layers and modules apart. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const tail = Math.ceil((width - 1) * 0.6);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/** A measure with 4 significant digits; an exponent only for very small or large values. */
export function digits(value: number | null): string {
  if (value === null) return '-';
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? value.toPrecision(4) : value.toExponential(2);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
