import { basename } from 'node:path';
import type { CalibrationUse } from '../../model/calibrationUse.ts';
import { truncateOnSeen } from '../../spectrum/truncateOnSeen.ts';
import { shrinkageOf } from '../activations/seen.ts';
import { withActivations } from '../activations/withActivations.ts';
import { rewrittenName } from '../plan/rewrittenModel.ts';
import { type CalibratedFactors, calibrationNotes, type PlannedModel } from './calibratedFactors.ts';
import { found } from './found.ts';

/**
 * Runs `use` with W' = U_k U_k^T W on statistics of the dense network's inputs, without running the network.
 * @throws RankscopeError 'wrong-use' for statistics of another model, 'not-finite' for statistics that are NaN or
 *   infinite, 'malformed'; as `truncateOnSeen` does
 */
export async function withFactorsOnStatistics<Result>(
  { devices, engine, opened, model, context: { signal } }: PlannedModel,
  file: string,
  use: (factors: CalibratedFactors) => Promise<Result>,
): Promise<Result> {
  return withActivations(opened, file, signal, (activations) => {
    const { summary, factors } = activations!;
    const seen = new Map([...factors].map(([name, factor]) => [rewrittenName(opened, name), factor]));
    const inputErrors = new Map<string, number>();
    const short: CalibrationUse['short'][number][] = [];
    const byWeights: string[] = [];
    let ridge = 0;
    return use({
      inputErrors,
      async factorsOf(matrix, rank) {
        const { name, transposed } = matrix;
        const factor = seen.get(name);
        if (!factor || factor.tokens === 0) {
          byWeights.push(name);
          return undefined;
        }
        const { tokens, inputs } = factor;
        if (tokens !== null && tokens < inputs) short.push({ name, tokens, inputs });
        const shrinkage = shrinkageOf(factor);
        ridge = Math.max(ridge, shrinkage);
        const stored = { source: matrix.source(), transposed };
        const { error, ...own } = await devices.run(engine, name, { signal }, (backend) =>
          truncateOnSeen(backend, stored, { ...factor, shrinkage }, rank, { signal }),
        );
        inputErrors.set(name, error);
        return found(own, rank, model.plan.request.factors);
      },
      use: () => ({
        kind: summary.kind,
        name: basename(file),
        tokens: summary.tokens,
        text: null,
        ridge,
        short,
        byWeights,
        notes: calibrationNotes({ short, byWeights }),
      }),
    });
  });
}
