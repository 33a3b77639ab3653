import type { TrainingCurves } from './training.ts';

export const CURVES = [
  'effectiveRank',
  'stableRank',
  'norm',
  'alpha',
  'turnOut',
  'turnIn',
  'stepOut',
  'stepIn',
] as const satisfies readonly (keyof TrainingCurves)[];

/** The mean of several matrices at each checkpoint, of those that are known there. */
export function meanCurves(all: readonly TrainingCurves[]): TrainingCurves {
  const count = all[0]?.norm.length ?? 0;
  const mean = (key: keyof TrainingCurves) =>
    Array.from({ length: count }, (_, at) => {
      const known = all.flatMap((curves) => curves[key][at] ?? []);
      return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    });
  return Object.fromEntries(CURVES.map((key) => [key, mean(key)])) as unknown as TrainingCurves;
}
