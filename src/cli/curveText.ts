import type { SensitivityCurve } from '../model/plan/sensitivityCurves.ts';
import { jsonPieces } from './output.ts';

const COLUMNS = [
  'parametersAfter',
  'keptShare',
  'keptShareOfModel',
  'bytesOfModel',
  'multiplyAddsAfter',
  'value',
] as const;

/** The content of a file of curves, as its name asks: a row for each point, or JSON. */
export function curveText(file: string, curves: readonly SensitivityCurve[]): Iterable<string> {
  return /\.csv$/i.test(file) ? rows(curves) : jsonPieces({ curves });
}

function* rows(curves: readonly SensitivityCurve[]): Generator<string> {
  yield `${['measure', 'curve', ...COLUMNS].join(',')}\n`;
  for (const { measure, best, uniform, plan } of curves)
    for (const [name, points] of Object.entries({ best, uniform, plan: [plan] }))
      for (const point of points) yield `${[measure, name, ...COLUMNS.map((key) => point[key] ?? '')].join(',')}\n`;
}
