/**
 * Whether a weight of Keras or TensorFlow is a kernel, which these store with the outputs last: Dense (in, out), convolutions
 * (height, width, in, out). Embeddings and the kernels of depthwise convolutions are not.
 */
export function isKernel(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && /(^|[/.])(recurrent_|pointwise_)?kernel(_\d+)?(:0)?$/.test(name);
}
