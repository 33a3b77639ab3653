import type { MatrixFinding } from '../../src/model/findings.ts';

/** A number that heatmap cells can show. */
export interface Measure {
  readonly id: string;
  readonly label: string;
  /** One or two sentences for users who are new to the measure. */
  readonly explanation: string;
  /** `rank`: a number of directions, which can be shown relative to the full rank or the break-even rank. */
  readonly kind: 'rank' | 'number';
  /** Norms range over decades, so their colours follow the logarithm. */
  readonly scale: 'linear' | 'log';
  /** What the number is about: the weights, the weights as a text's activations see them, or what these differ in. */
  readonly family: 'weights' | 'activations' | 'difference';
  /** Whether only quantized matrices have the measure; it is hidden for others. */
  readonly quantizedOnly?: boolean;
  /** null if the matrix has no such value. */
  readonly value: (finding: MatrixFinding) => number | null;
}

/** A measure of the weights themselves. */
export function weightMeasure(
  kind: Measure['kind'],
  id: string,
  label: string,
  explanation: string,
  value: Measure['value'],
  scale: Measure['scale'] = 'linear',
): Measure {
  return { id, label, explanation, kind, scale, family: 'weights', value };
}
