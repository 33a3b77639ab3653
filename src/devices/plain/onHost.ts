import type { Backend, Matrix } from '../backend.ts';
import type { NetworkOperations } from '../networkOperations.ts';
import { activate, activateBack, rescale } from './activate.ts';
import { adam } from './adam.ts';

import { attendBackByProducts, attendByProducts } from './attendByProducts.ts';
import { normalize, normalizeBack } from './normalize.ts';
import { add, addToRows, pick, place, rotate } from './rows.ts';
import { summarizeRows } from './summarizeRows.ts';

/** The operations for a device that has only products: the host computes the rest on what it downloads. */
export function onHost(
  device: Pick<Backend, 'allocate' | 'free' | 'upload' | 'download' | 'multiply'>,
): NetworkOperations {
  const write = (matrix: Matrix, values: Float32Array) =>
    device.upload(matrix, 0, matrix.rows, (out) => out.set(values));
  const change = async (matrix: Matrix, work: (values: Float32Array) => void): Promise<void> => {
    const values = await device.download(matrix);
    work(values);
    await write(matrix, values);
  };
  return {
    async normalize(out, x, norm) {
      const values = await device.download(x);
      await device.upload(out, 0, out.rows, (into) => normalize(into, values, norm));
    },
    async activate(x, f, factor) {
      const factors = factor && (await device.download(factor));
      await change(x, (values) => activate(values, f, factors));
    },
    rescale: (x, scale, cap = null) => change(x, (values) => rescale(values, scale, cap)),
    async add(x, y, scale) {
      const values = await device.download(y);
      await change(x, (own) => add(own, values, scale));
    },
    addToRows: (x, vector) => change(x, (values) => addToRows(values, vector)),
    async pick(out, x, columns) {
      const values = await device.download(x);
      await device.upload(out, 0, out.rows, (into) => pick(into, out.cols, values, x.cols, columns));
    },
    rotate: (x, rotation) => change(x, (values) => rotate(values, x.cols, rotation)),
    async normalizeBack(gradient, x, norm) {
      const [own, values] = [await device.download(gradient), await device.download(x)];
      const ofWeights = normalizeBack(own, values, norm);
      await write(gradient, own);
      return ofWeights;
    },
    async activateBack(gradient, x, f, gate) {
      const [own, values] = [await device.download(gradient), await device.download(x)];
      const factor = gate && (await device.download(gate.factor));
      const ofFactor = factor && new Float32Array(factor.length);
      activateBack(own, values, f, factor, ofFactor);
      await write(gradient, own);
      if (gate) await write(gate.gradient, ofFactor!);
    },
    async place(out, x, columns) {
      const values = await device.download(x);
      await change(out, (own) => place(own, out.cols, values, x.cols, columns));
    },
    attendBack: (out, gradient, input, options) => attendBackByProducts(device, out, gradient, input, options),
    async adam(x, gradient, { first, second }, step) {
      const own = await device.download(gradient);
      const held = [x, first, second];
      const values: Float32Array[] = [];
      for (const matrix of held) values.push(await device.download(matrix));
      const squares = adam(values[0]!, own, values[1]!, values[2]!, step);
      for (const [k, matrix] of held.entries()) await write(matrix, values[k]!);
      return squares;
    },
    async summarizeRows(logits, targets, reference) {
      const values = await device.download(logits);
      return summarizeRows(values, logits.cols, targets, reference && (await device.download(reference)));
    },
    attend: (out, input, options) => attendByProducts(device, out, input, options),
  };
}
