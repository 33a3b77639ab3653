import type { TextFacts, TextRequest } from '../model/evaluation.ts';
import { numberOf, type OptionTable, textOf, UsageError, type Values } from './command.ts';

/** Options of the commands that pass a text through a network. */
export const TEXT: OptionTable = {
  text: { type: 'string' },
  ids: { type: 'string' },
  context: { type: 'string' },
  tokens: { type: 'string' },
};
export const TEXT_HELP = `  --text FILE         a text in UTF-8
  --ids FILE          the ids of the tokens of a text, in place of --text: a JSON list, or numbers`;
export const WINDOWS_HELP = `  --context N         tokens of a window (default: those of the model's context, at most 2048)
  --tokens N          the most tokens to use (default: all of the text)`;

/** @throws UsageError */
export function textRequestOf(values: Values): TextRequest {
  const text = textOf(values, 'text');
  const ids = textOf(values, 'ids');
  if ((text === undefined) === (ids === undefined)) throw new UsageError('exactly one of --text and --ids is needed');
  const context = numberOf(values, 'context', { least: 2, most: 2 ** 31, whole: true });
  const tokens = numberOf(values, 'tokens', { least: 2, most: 2 ** 31, whole: true });
  return {
    ...(text === undefined ? {} : { text }),
    ...(ids === undefined ? {} : { ids }),
    ...(context === undefined ? {} : { context }),
    ...(tokens === undefined ? {} : { tokens }),
  };
}

/** `4 windows of 512` */
export function windowsInWords({ windows, context }: Pick<TextFacts, 'windows' | 'context'>): string {
  return `${windows === 1 ? '1 window' : `${windows} windows`} of ${context}`;
}
