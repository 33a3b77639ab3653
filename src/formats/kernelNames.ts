/**
 * Whether a weight of Keras or TensorFlow is a kernel, which these store with the outputs last: Dense (in, out), convolutions
 * (height, width, in, out). Embeddings and the kernels of depthwise convolutions are not.
 */
export function isKernel(name: string, shape: readonly number[]): boolean {
  if (shape.length < 2) return false;
  return /(^|[/.])(recurrent_|pointwise_)?kernel(_\d+)?(:0)?$/.test(name) || KERAS_3.test(name);
}

/** Keras 3 numbers the variables of a layer, which bears the name of its class unless somebody gave it another; the kernel is the first. */
const KERAS_3 = /(^|\/)(dense|conv[123]d)(_transpose)?(_\d+)?\/vars\/0$/;
