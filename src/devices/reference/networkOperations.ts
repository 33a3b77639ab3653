import type { Matrix } from '../backend.ts';
import type { AttentionInput, NetworkOperations } from '../networkOperations.ts';
import { activate, activateBack, rescale } from '../plain/activate.ts';
import { adam } from '../plain/adam.ts';
import { normalize, normalizeBack } from '../plain/normalize.ts';
import { add, addToRows, pick, place, rotate } from '../plain/rows.ts';
import { summarizeRows } from '../plain/summarizeRows.ts';
import { attend, attendBack } from './attend.ts';

/** All operations in f64. @param of the entries of a matrix */
export function referenceNetworkOperations(of: (matrix: Matrix) => Float64Array): NetworkOperations {
  return {
    normalize: async (out, x, norm) => normalize(of(out), of(x), norm),
    activate: async (x, f, factor) => activate(of(x), f, factor && of(factor)),
    rescale: async (x, scale, cap = null) => rescale(of(x), scale, cap),
    add: async (x, y, scale) => add(of(x), of(y), scale),
    addToRows: async (x, vector) => addToRows(of(x), vector),
    pick: async (out, x, columns) => pick(of(out), out.cols, of(x), x.cols, columns),
    rotate: async (x, rotation) => rotate(of(x), x.cols, rotation),
    normalizeBack: async (gradient, x, norm) => normalizeBack(of(gradient), of(x), norm),
    activateBack: async (gradient, x, f, gate) =>
      activateBack(of(gradient), of(x), f, gate && of(gate.factor), gate && of(gate.gradient)),
    place: async (out, x, columns) => place(of(out), out.cols, of(x), x.cols, columns),
    adam: async (x, gradient, { first, second }, step) => adam(of(x), of(gradient), of(first), of(second), step),
    attendBack: async (out, gradient, input, options) => {
      const all = ({ query, key, value }: AttentionInput) => ({ query: of(query), key: of(key), value: of(value) });
      attendBack(all(out), of(gradient), all(input), options);
    },
    summarizeRows: async (logits, targets, reference) =>
      summarizeRows(of(logits), logits.cols, targets, reference && of(reference)),
    attend: async (out, { query, key, value }, options) =>
      attend(of(out), { query: of(query), key: of(key), value: of(value) }, options),
  };
}
