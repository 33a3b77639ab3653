import { basename } from 'node:path';
import type { InputFactor } from '../../activations/statistics.ts';
import type { CalibrationUse } from '../../model/calibrationUse.ts';
import { sharedOnSeen } from '../../spectrum/sharedOnSeen.ts';
import { truncateOnSeen } from '../../spectrum/truncateOnSeen.ts';
import { rewrittenFactors } from '../activations/rewrittenFactors.ts';
import { shrinkageOf } from '../activations/seen.ts';
import { withActivations } from '../activations/withActivations.ts';
import { seenSharing } from '../sharing/seenSharing.ts';
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
    const { summary } = activations!;
    const seen = rewrittenFactors(opened, activations!);
    const inputErrors = new Map<string, number>();
    const short: CalibrationUse['short'][number][] = [];
    const byWeights: string[] = [];
    let ridge = 0;
    const note = (name: string, factor: InputFactor) => {
      const { tokens, inputs } = factor;
      if (tokens !== null && tokens < inputs) short.push({ name, tokens, inputs });
      ridge = Math.max(ridge, shrinkageOf(factor));
    };
    return use({
      inputErrors,
      async factorsOf(matrix, rank) {
        const { name, transposed } = matrix;
        const factor = seen.get(name);
        if (!factor) {
          byWeights.push(name);
          return undefined;
        }
        note(name, factor);
        const shrinkage = shrinkageOf(factor);
        const stored = { source: matrix.source(), transposed };
        const { error, ...own } = await devices.run(engine, name, { signal }, (backend) =>
          truncateOnSeen(backend, stored, { ...factor, shrinkage }, rank, { signal }),
        );
        inputErrors.set(name, error);
        return found(own, rank, model.plan.request.factors);
      },
      async sharedFactorsOf(group, rank) {
        const known = group.matrices.map(({ name }) => seen.get(name));
        if (!known.every((factor) => factor !== undefined)) {
          byWeights.push(...group.matrices.map(({ name }) => name));
          return undefined;
        }
        for (const [k, factor] of known.entries()) note(group.matrices[k]!.name, factor);
        const { errors, ...shared } = await devices.run(engine, group.name, { signal }, (backend) =>
          sharedOnSeen(backend, seenSharing(group, known), rank, { signal }),
        );
        for (const [k, error] of errors.entries()) inputErrors.set(group.matrices[k]!.name, error);
        return shared;
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
