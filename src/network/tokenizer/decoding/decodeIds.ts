import type { DecodeOptions } from '../tokenizer.ts';
import { withinTime } from '../withinTime.ts';
import type { DecodeStep } from './steps.ts';

/** What a tokenizer needs to know for turning ids into text. */
export interface Decoding {
  /** The file of the tokenizer, for errors. */
  readonly file: string;
  /** Undefined for an id without a token. */
  tokenOf(id: number): string | undefined;
  isSpecial(id: number): boolean;
  /** Made when it is first needed: a decoder that is not known must not prevent encoding. */
  step(): DecodeStep;
}

/** The text of these ids. Ids without a token are left out, as Hugging Face's tokenizers do. */
export function decodeIds(
  { file, tokenOf, isSpecial, step }: Decoding,
  ids: ArrayLike<number>,
  { specialTokens = false }: DecodeOptions = {},
): string {
  const tokens: string[] = [];
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at]!;
    const token = tokenOf(id);
    if (token !== undefined && (specialTokens || !isSpecial(id))) tokens.push(token);
  }
  const decode = step();
  let text = '';
  withinTime(file, () => {
    text = decode(tokens).join('');
  });
  return text;
}
