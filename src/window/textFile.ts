import { open } from 'node:fs/promises';
import type { TextRequest } from '../model/evaluation.ts';

/** A file as a request names it; neither where the model writes the text itself. */
export type TextFile = Pick<TextRequest, 'text' | 'ids'>;

/** Bytes that tell ids from a text. */
const HEAD_BYTES = 4096;

/**
 * Tells a file of token ids from a text by its beginning: a JSON array of numbers, or numbers alone in a file that ends
 * in `.ids`. A file that cannot be read counts as a text, so that the request says what is wrong. Empty for ''.
 */
export async function textFileOf(file: string): Promise<TextFile> {
  if (file === '') return {};
  const head = await headOf(file).catch(() => '');
  const isList = /^\s*\[[\d\s,[\]]*$/.test(head);
  const isNumbers = /\.ids$/i.test(file) && /^[\d\s,]+$/.test(head);
  return isList || isNumbers ? { ids: file } : { text: file };
}

async function headOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead).replace(/^\uFEFF/, '');
  } finally {
    await handle.close();
  }
}
