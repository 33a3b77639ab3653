import { RankscopeError } from '../../base/errors.ts';
import type { Place } from '../findings.ts';

/** One head of queries in one layer; layers of a second stack are named with it. */
export interface HeadPlace extends Pick<Place, 'stack'> {
  readonly layer: number;
  readonly head: number;
}

export interface RestoreRequest {
  readonly base: string;
  /** The model of which everything else is kept. */
  readonly other: string;
  /** The heads that get the weights of the base. */
  readonly heads: readonly HeadPlace[];
  /** The safetensors file to write. */
  readonly out: string;
  readonly overwrite?: boolean;
}

export interface RestoreReport {
  readonly out: string;
  readonly bytes: number;
  /** The number of heads. */
  readonly heads: number;
  /** Names of the tensors that hold weights of both models. */
  readonly mixed: readonly string[];
  /** Notes about the written file, one sentence each. */
  readonly remarks: readonly string[];
}

/** Heads as users name them: `3.1,3.4,10.0-7` for heads 1 and 4 of layer 3, and 0 to 7 of layer 10. */
export function parseHeads(text: string): HeadPlace[] {
  return text.split(',').flatMap((part) => {
    const [, layer, from, to = from] = /^\s*(\d{1,6})\.(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (layer === undefined || last < first || last - first > 10_000)
      throw new RankscopeError(
        'wrong-use',
        'heads',
        `'${part}' names no head`,
        'Write LAYER.HEAD, as in 3.1,3.4,10.0-7',
      );
    return Array.from({ length: last - first + 1 }, (_, k) => ({ layer: Number(layer), head: first + k }));
  });
}
