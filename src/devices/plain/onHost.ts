import type { Backend, Matrix } from '../backend.ts';
import type { NetworkOperations } from '../networkOperations.ts';
import { activate, rescale } from './activate.ts';
import { attendByProducts } from './attendByProducts.ts';
import { normalize } from './normalize.ts';
import { add, addToRows, pick, rotate } from './rows.ts';
import { summarizeRows } from './summarizeRows.ts';

/** The operations for a device that has only products: the host computes the rest on what it downloads. */
export function onHost(
  device: Pick<Backend, 'allocate' | 'free' | 'upload' | 'download' | 'multiply'>,
): NetworkOperations {
  const change = async (matrix: Matrix, work: (values: Float32Array) => void): Promise<void> => {
    const values = await device.download(matrix);
    work(values);
    await device.upload(matrix, 0, matrix.rows, (out) => out.set(values));
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
    async summarizeRows(logits, targets, reference) {
      const values = await device.download(logits);
      return summarizeRows(values, logits.cols, targets, reference && (await device.download(reference)));
    },
    attend: (out, input, options) => attendByProducts(device, out, input, options),
  };
}
