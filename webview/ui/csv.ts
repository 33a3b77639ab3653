export type Cell = string | number | null;

/** Lines of cells as comma-separated values. */
export function csvText(lines: readonly (readonly Cell[])[]): string {
  return lines.map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}

/**
 * Names come from a file nobody vouches for, and a spreadsheet runs what begins like a formula: such names get a leading
 * apostrophe, which spreadsheets take for "this is text".
 */
function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
