import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { significant } from '../../base/quantities.ts';
import {
  apportionRanks,
  type LoraSuggestion,
  type LoraSuggestRequest,
  type MeasuredModule,
  type SuggestedModule,
  shortTargets,
} from '../../model/lora/suggestion.ts';
import { inTargetSet } from '../../model/lora/targets.ts';
import { isStored } from '../../model/matrix.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { withActivations } from '../activations/withActivations.ts';
import { exactResult, exactSeen, type SpectraParts } from '../analysis/spectra.ts';
import { distinctMatrices, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { refuseOptimizer } from '../diff/sides.ts';
import { nameInNetwork } from '../plan/rewrittenModel.ts';

/** A rank for each module, in proportion to how many directions it uses. */
export async function suggestLora(
  parts: SpectraParts,
  opened: Opened,
  request: LoraSuggestRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<LoraSuggestion> {
  const { path, targets = 'all-linear', rank: uniformRank = 16, activations: file } = request;
  refuseOptimizer(opened);
  const engine = parts.devices.settle(request);
  const all = distinctMatrices(opened).filter(isStored);
  const wanted = all.filter(({ role }) => inTargetSet(role, targets));
  const sliced = wanted.filter(({ name }) => name.endsWith(']'));
  const modules = wanted.filter(({ name }) => !name.endsWith(']'));
  if (modules.length === 0)
    throw new RankscopeError(
      'wrong-use',
      path,
      `it has no modules of ${targets} that LoRA adapts`,
      'Choose other targets, or give the checkpoint of a model',
    );
  const pathOf = ({ name }: StoredMatrix) => nameInNetwork(opened.checkpoint, name).replace(/\.weight$/, '');
  const measured: MeasuredModule[] = [];
  await withActivations(opened, file, signal, async (activations) => {
    for (const [done, matrix] of modules.entries()) {
      throwIfCancelled(signal, path);
      progress?.({ done, total: modules.length, message: matrix.name });
      const factor = activations?.factors.get(matrix.name);
      const options = { signal, urgent: false };
      const seen = factor ? await exactSeen(parts, matrix, factor, engine, options) : null;
      const { measures } = seen ?? (await exactResult(parts, matrix, engine, options));
      const { effectiveRank } = measures;
      measured.push({ name: pathOf(matrix), shape: matrix.shape, effectiveRank, seen: seen !== null });
    }
  });
  await refuseChanged(opened.checkpoint);
  const costOf = ({ shape: [m, n] }: MeasuredModule) => m + n;
  const budget = uniformRank * measured.reduce((sum, module) => sum + costOf(module), 0);
  const ranks = apportionRanks(measured, budget);
  const mean = measured.reduce((sum, { effectiveRank }) => sum + effectiveRank, 0) / measured.length;
  const suggested = measured.map((module, k): SuggestedModule => {
    return { ...module, rank: ranks[k]!, reason: reasonOf(module, mean) };
  });
  const seen = measured.filter((module) => module.seen).length;
  return {
    format: 'rankscope.loraSuggestion/1',
    path,
    targets,
    budget,
    parameters: suggested.reduce((sum, module) => sum + module.rank * costOf(module), 0),
    modules: suggested,
    reasoning: reasoning(suggested, { seen, sliced: sliced.length, uniformRank }),
    uniformRank,
    targetModules: shortTargets(
      suggested.map(({ name }) => name),
      all.map(pathOf),
    ),
  };
}

function reasonOf({ effectiveRank, shape, seen }: MeasuredModule, mean: number): string {
  const share = Math.round((100 * effectiveRank) / Math.min(...shape));
  const what = seen ? 'of W X' : 'of W';
  return `effective rank ${what} ${significant(effectiveRank)}, ${share} % of its smaller side, ${significant(effectiveRank / mean)} times the mean`;
}

function reasoning(
  modules: readonly SuggestedModule[],
  { seen, sliced, uniformRank }: { seen: number; sliced: number; uniformRank: number },
): string[] {
  const byRank = [...modules].sort((a, b) => b.rank - a.rank);
  const [most, least] = [byRank[0]!, byRank.at(-1)!];
  const missing = modules.length - seen;
  const unseen = seen > 0 && missing > 0 ? [`The inputs of ${missing} modules are unknown: they follow W alone.`] : [];
  const experts =
    sliced > 0 ? [`${sliced} matrices of experts that share a tensor are left out: they are no modules.`] : [];
  return [
    `Ranks are in proportion to the effective rank ${seen > 0 ? 'of W X, the directions that the text uses' : 'of W, the directions that the weights use'}, with as many parameters as rank ${uniformRank} everywhere.`,
    `Most goes to ${most.name} (${most.rank}), least to ${least.name} (${least.rank}).`,
    'This is a rule of thumb: what a task needs is known only after training, with: rankscope lora resize.',
    ...unseen,
    ...experts,
  ];
}
