/** Text in which a reader of the code could be deceived, or which ends a line: it is always escaped. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/**
 * Plain data as a Python expression. No text can end its literal: quotes, backslashes and whatever is not visible are
 * escaped. Long lists and objects take a line for each item.
 */
export function pythonLiteral(value: unknown, indent = ''): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : `float("${value}")`;
  if (typeof value === 'string') return pythonString(value);
  const items = Array.isArray(value)
    ? value.map((item) => pythonLiteral(item, `${indent}    `))
    : Object.entries(value).map(([key, item]) => `${pythonString(key)}: ${pythonLiteral(item, `${indent}    `)}`);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  const line = `${open}${items.join(', ')}${close}`;
  if (line.length <= 100 && !line.includes('\n')) return line;
  return `${open}\n${items.map((item) => `${indent}    ${item},\n`).join('')}${indent}${close}`;
}

function pythonString(text: string): string {
  const escaped = text.replaceAll(/[\\"]/g, String.raw`\$&`).replaceAll(HIDDEN, (hidden) => {
    const code = hidden.codePointAt(0)!;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}
