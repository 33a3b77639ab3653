/**
 * What a text's activations say about the matrices of a network, as plain data. X (n x t) are the inputs of a layer
 * y = W x over t tokens; how its statistics are kept is in `activations/fileFormat.ts`.
 */

/**
 * Which statistics are known: `full`, all of X X^T; `diagonal`, the sums of squares of each input alone, as in
 * llama.cpp's imatrix files.
 */
export type StatisticsKind = 'full' | 'diagonal';

/** A file of statistics as a whole. */
export interface StatisticsSummary {
  readonly path: string;
  readonly kind: StatisticsKind;
  /** The text's name; null if the file does not say. */
  readonly text: string | null;
  /** The name of the model whose inputs they are; null if the file does not say. */
  readonly model: string | null;
  /** What wrote the file, such as `rankscope 0.1.0` or `transformers 5.0.0`; null if it does not say. */
  readonly producer: string | null;
  /** The most tokens that any layer has seen; experts see fewer. Null if the file does not say. */
  readonly tokens: number | null;
}

/** Layers that read the same inputs, such as q, k and v: they share one R. */
export interface InputGroup {
  /** The module of the first of them in transformers, such as `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  /** The matrices by their names in transformers, with their shapes [out, in]; `in` is the same for all. */
  readonly matrices: Readonly<Record<string, readonly [number, number]>>;
}
