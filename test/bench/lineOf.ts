import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Parses the line of JSON that a program prints; undefined if it prints nothing. */
export async function lineOf(program: string, words: readonly string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(program, words, { maxBuffer: 2 ** 28 });
  return stdout === '' ? undefined : JSON.parse(stdout);
}
