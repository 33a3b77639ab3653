/**
 * The file NAME.activations.safetensors, whoever writes it: statistics of the inputs of a network's linear layers over
 * the tokens of a text. It is a safetensors file.
 *
 * Layers that read the same inputs form a group with one X (n x t, a column for each token): q, k and v; gate and up;
 * every other layer is a group of its own, each expert with the tokens that the router sent to it. The head is a group
 * too, the embedding is not. For each group named NAME there are two tensors:
 *
 * - `NAME.R`, F32, [n, n]: upper triangular with R^T R = X X^T, summed over the tokens and not divided by their number.
 *   Signs are free. After fewer than n tokens, the last rows are zero; after none, all are.
 * - `NAME.tokens`, an integer type, [] or [1]: t.
 *
 * The metadata are texts, as safetensors demands:
 *
 * - `rankscope.format`: `rankscope.activations/1`.
 * - `rankscope.groups`: JSON, a list of `{"name": NAME, "matrices": {MATRIX: [out, in], ...}}`. NAME is the module of
 *   the group's first layer, MATRIX a parameter as in the model's `named_parameters()` or in its checkpoint
 *   (`model.layers.0.self_attn.q_proj.weight`), [out, in] the shape of W in y = W x, even where it is stored as (in,
 *   out), as GPT-2 does. Experts have a matrix each (`...experts.3.w1.weight`; `NAME[3]` for a slice of a stack). All
 *   groups are listed, also those that no token reached: together, the names and shapes identify the model.
 * - `rankscope.model`, `rankscope.text`, `rankscope.producer`: the names of the model and of the text's file, and the
 *   program with its version, for people.
 */

import type { InputGroup } from '../model/activations.ts';

export const ACTIVATIONS_FORMAT = 'rankscope.activations/1';

/** Keys of the metadata. */
export const KEYS = {
  format: 'rankscope.format',
  groups: 'rankscope.groups',
  model: 'rankscope.model',
  text: 'rankscope.text',
  producer: 'rankscope.producer',
} as const;

/** The names of a group's tensors. */
export const rName = ({ name }: InputGroup): string => `${name}.R`;
export const tokensName = ({ name }: InputGroup): string => `${name}.tokens`;

/** What the metadata say of the origin of statistics. */
export interface Origin {
  readonly model: string;
  readonly text: string;
  readonly producer: string;
}

export function activationsMetadata(groups: readonly InputGroup[], origin: Origin): Map<string, string> {
  return new Map([
    // Loaders of the Hugging Face libraries refuse a file without it.
    ['format', 'pt'],
    [KEYS.format, ACTIVATIONS_FORMAT],
    [KEYS.groups, JSON.stringify(groups)],
    [KEYS.model, origin.model],
    [KEYS.text, origin.text],
    [KEYS.producer, origin.producer],
  ]);
}
