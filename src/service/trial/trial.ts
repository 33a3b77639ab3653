import { concernsOneMatrix, RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Skipped } from '../../model/findings.ts';
import { nameMatcher } from '../../model/globs.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { Trial, TrialMatrix, TrialOptions, TrialRequest } from '../../model/trial.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { withActivations } from '../activations/withActivations.ts';
import { distinctMatrices, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { checkTrial } from './checkTrial.ts';
import { type TrialParts, tryMatrix } from './tryMatrix.ts';

/**
 * Factorizes matrices by each method at each rank and measures what is left, before anything is written.
 * @throws RankscopeError 'wrong-use' for options out of range, or where no matrix can be tried; the reason of a single
 *   one
 */
export async function trial(
  parts: TrialParts,
  opened: Opened,
  request: TrialRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<Trial> {
  const started = performance.now();
  const { path, activations: file, values = false } = request;
  const options = checkTrial(path, request);
  const chosen = chosenMatrices(opened, request);
  const engine = parts.devices.settle(request);
  return parts.devices.hold(engine, signal, (info) =>
    withActivations(opened, file, signal, async (activations) => {
      const matrices: TrialMatrix[] = [];
      const skipped: Skipped[] = [];
      let first: RankscopeError | undefined;
      for (const [done, matrix] of chosen.entries()) {
        throwIfCancelled(signal, path);
        const step = (what: string) => progress?.({ done, total: chosen.length, message: `${matrix.name}: ${what}` });
        const factor = activations && (activations.factors.get(matrix.name) ?? null);
        try {
          const own = ranksOf(possible(matrix), options);
          const one = { matrix: possible(matrix), options: own, values, factor, engine, signal, step };
          matrices.push(await tryMatrix(parts, one));
        } catch (error) {
          if (!concernsOneMatrix(error) && !(error instanceof RankscopeError && error.code === 'wrong-use'))
            throw error;
          first ??= error;
          skipped.push({ name: matrix.name, reason: error.found });
        }
      }
      if (matrices.length === 0 && first) throw first;
      await refuseChanged(opened.checkpoint);
      return {
        format: 'rankscope.trial/1',
        checkpoint: { path: opened.checkpoint.path, format: opened.checkpoint.format },
        ...options,
        engine: info,
        seconds: (performance.now() - started) / 1000,
        matrices,
        skipped,
        ...(activations && { activations: activations.summary }),
        notes: notesOf(options, matrices),
      };
    }),
  );
}

/** @throws RankscopeError 'wrong-use' if no matrix matches, with what the name stands for if it is known */
function chosenMatrices(opened: Opened, { path, tensors = [] }: TrialRequest): readonly Matrix[] {
  const wanted = tensors.length > 0 ? nameMatcher(tensors) : () => true;
  const groups = opened.ties();
  // A tied tensor is tried as the first of its group.
  const aliases = (tensorName: string) => groups.find(([first]) => first === tensorName) ?? [];
  const distinct = distinctMatrices(opened);
  const chosen = distinct.filter(
    ({ name, tensorName }) => wanted(name) || wanted(tensorName) || aliases(tensorName).some(wanted),
  );
  if (chosen.length > 0) return chosen;
  const skipped = opened.anatomy.skipped.find(({ name }) => wanted(name));
  throw new RankscopeError(
    'wrong-use',
    path,
    skipped
      ? `${skipped.name} is not tried: ${skipped.reason}`
      : `none of its ${distinct.length} matrices matches ${tensors.join(', ')}`,
    'List the names with: rankscope info',
  );
}

/** @throws RankscopeError 'wrong-use' for the update of an adapter */
function possible(matrix: Matrix): StoredMatrix {
  if (isStored(matrix)) return matrix;
  throw new RankscopeError(
    'wrong-use',
    matrix.name,
    'it is the update of an adapter, which has two factors already',
    'Give them a lower rank with: rankscope lora resize',
  );
}

/** The ranks that a matrix can have. @throws RankscopeError 'wrong-use' if it can have none of them */
function ranksOf({ name, shape }: StoredMatrix, options: TrialOptions): TrialOptions {
  const most = Math.min(...shape);
  const ranks = options.ranks.filter((rank) => rank <= most);
  if (ranks.length > 0) return { ...options, ranks };
  throw new RankscopeError(
    'wrong-use',
    name,
    `rank ${options.ranks.join(', ')} of a ${shape.join(' x ')} matrix`,
    `Ask for 1 to ${most}`,
  );
}

function notesOf({ ranks, methods }: TrialOptions, matrices: readonly TrialMatrix[]): string[] {
  const narrow = matrices.filter(({ ranks: own }) => own.length < ranks.length).length;
  const lossy = matrices.filter(({ ranks: own }) => own.length > 0 && own.every(({ pays }) => !pays)).length;
  const blind = matrices.filter(({ normOnActivations }) => normOnActivations === null).length;
  const of = (count: number) => `${count} of ${matrices.length} matrices`;
  return [
    ...(narrow > 0 ? [`${of(narrow)} are too small for some of the ranks, which are left out there.`] : []),
    ...(lossy > 0 ? [`In ${of(lossy)}, no rank pays: their factors are as large as the matrix or larger.`] : []),
    ...(blind > 0 ? [`The statistics do not cover ${of(blind)}: what their inputs see is unknown.`] : []),
    ...(methods.includes('nystrom')
      ? ['Nystrom errors are predicted from probes: their bands hold in 99 of 100 trials.']
      : []),
  ];
}
