/**
 * Whether a Keras or TensorFlow weight is a kernel, which these libraries store with the outputs last: (in, out) for
 * Dense, (height, width, in, out) for convolutions. False for embeddings and depthwise kernels, whose last dimension is
 * not the outputs.
 */
export function isKernel(name: string, shape: readonly number[]): boolean {
  if (shape.length < 2) return false;
  return /(^|[/.])(recurrent_|pointwise_)?kernel(_\d+)?(:0)?$/.test(name) || KERAS_3.test(name);
}

/**
 * Keras 3 numbers the variables of a layer, kernel first. A layer without a name of its own is named after its class.
 */
const KERAS_3 = /(^|\/)(dense|conv[123]d)(_transpose)?(_\d+)?\/vars\/0$/;
