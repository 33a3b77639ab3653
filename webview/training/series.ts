import { meanCurves } from '../../src/model/training/curves.ts';
import type { TrainedMatrix, TrainingCurves, TrainingReport } from '../../src/model/training/training.ts';

/** What is looked at: all modules, one module over its layers, or one layer of it with its heads. */
export interface SeriesView {
  readonly module: string | null;
  readonly layer: string | null;
}

/** One curve in every chart. */
export interface Series {
  readonly label: string;
  readonly curves: TrainingCurves;
  /** What a click on it shows; absent at the end. */
  readonly opens?: SeriesView;
}

export const modulesOf = ({ matrices }: TrainingReport): string[] => [...new Set(matrices.map(({ module }) => module))];

export function layersOf({ matrices }: TrainingReport, module: string): string[] {
  return matrices.filter((matrix) => matrix.module === module).map(layerOf);
}

/** `3`, or `vision 3` where there are several stacks; the name outside the layers. */
export function layerOf({ stack, layer, name }: TrainedMatrix): string {
  if (layer === null) return name;
  return stack === undefined ? String(layer) : `${stack} ${layer}`;
}

export function seriesOf(report: TrainingReport, { module, layer }: SeriesView): Series[] {
  const { matrices } = report;
  if (module === null)
    return modulesOf(report).map((label) => {
      const own = matrices.filter((matrix) => matrix.module === label);
      return { label, curves: meanCurves(own.map(({ curves }) => curves)), opens: { module: label, layer: null } };
    });
  const own = matrices.filter((matrix) => matrix.module === module);
  const one = own.find((matrix) => layerOf(matrix) === layer);
  if (!one)
    return own.map((matrix) => {
      const label = layerOf(matrix);
      return { label, curves: matrix.curves, opens: { module, layer: label } };
    });
  const heads = (one.heads ?? []).map((curves, head) => ({ label: `head ${head}`, curves }));
  return [{ label: 'whole matrix', curves: one.curves }, ...heads];
}
