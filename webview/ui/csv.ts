export type Cell = string | number | null;

/** Comma-separated values (RFC 4180). */
export function csvText(lines: readonly (readonly Cell[])[]): string {
  return lines.map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}

/**
 * Names come from untrusted files, and a spreadsheet would run one that begins like a formula. Such names get a leading
 * apostrophe, which spreadsheets read as "this is text".
 */
function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
