import { formatBytes, formatWhole } from '../../src/base/quantities.ts';
import type { LoraCount, LoraCountRow, LoraModel, LoraModule } from '../../src/model/lora/count.ts';
import { inTargetSet, type TargetSet } from '../../src/model/lora/targets.ts';
import { formatPercent, formatShape } from '../ui/format.ts';

/** The sets of target modules, as people name them. */
export const SET_NAMES: Readonly<Record<TargetSet, string>> = {
  'q,v': 'query and value',
  attention: 'attention',
  mlp: 'MLP',
  'all-linear': 'all linear layers',
};

/** What one rank costs on one set of modules. */
export function costSentence({ model, full }: LoraCount, row: LoraCountRow, set: TargetSet): string {
  const { rank, parameters, share, trainingBytes, optimizerBytes } = row;
  const modules = adaptedModules(model, set).reduce((sum, { count }) => sum + count, 0);
  return `Rank ${rank} on ${SET_NAMES[set]} (${formatWhole(modules)} modules) trains ${formatWhole(parameters)} parameters, ${formatPercent(share)} of the model. With Adam in f32, this takes ${formatBytes(trainingBytes)}, of which ${formatBytes(optimizerBytes)} are its moments; training the whole model takes ${formatBytes(full.trainingBytes)}.`;
}

/** How the 2 d r L of tutorials compares with the true count, and why the two differ. */
export function tutorialSentence(model: LoraModel, row: LoraCountRow, set: TargetSet): string {
  const { hidden: d } = model;
  const { tutorial, parameters, rank } = row;
  if (d === null || tutorial === null)
    return 'The width d of this network is unknown, which the 2 d r L of tutorials needs.';
  const reasons = deviations(adaptedModules(model, set), d);
  const why = reasons.length > 0 ? `: ${reasons.join('; ')}` : '';
  if (tutorial === parameters)
    return reasons.length === 0
      ? `The 2 d r L of tutorials gives the same: every matrix is ${formatShape([d, d])}.`
      : `The 2 d r L of tutorials happens to give the same, though not all matrices are ${formatShape([d, d])}${why}.`;
  const matrices = tutorial / (2 * d * rank);
  const off = Math.abs(tutorial - parameters) / parameters;
  const more = tutorial > parameters ? 'more' : 'less';
  return `The 2 d r L of tutorials gives ${formatWhole(tutorial)}, ${formatPercent(off)} ${more}, as if all L = ${formatWhole(matrices)} matrices were ${formatShape([d, d])}${why}.`;
}

/** Where the factors of a rank are larger than the matrices they adapt. */
export function beyondSentence({ rank, beyondBreakEven }: LoraCountRow): string {
  if (beyondBreakEven === 0) return '';
  const modules = beyondBreakEven === 1 ? '1 module' : `${formatWhole(beyondBreakEven)} modules`;
  return `In ${modules}, two factors of rank ${rank} are larger than the matrix itself.`;
}

export function adaptedModules({ modules }: LoraModel, set: TargetSet): LoraModule[] {
  return modules.filter(({ role }) => inTargetSet(role, set));
}

/** Why modules are not counted as d x d, a clause for each reason. */
function deviations(modules: readonly LoraModule[], d: number): string[] {
  const fused = modules.filter(({ role }) => role === 'qkv' || role === 'gateUp');
  const single = modules.filter((module) => !fused.includes(module));
  const size = ({ shape: [m, n] }: LoraModule) => m + n;
  const [narrower, wider] = [single.filter((each) => size(each) < 2 * d), single.filter((each) => size(each) > 2 * d)];
  const grouped = narrower.length > 0 && narrower.every(({ role }) => role === 'key' || role === 'value');
  return [
    ...clause(fused, 'one layer in place of several, with one A', 'one layer each in place of several, with one A'),
    ...clause(
      narrower,
      `narrower${grouped ? ', as queries share keys and values' : ''}`,
      `narrower${grouped ? ', as queries share keys and values' : ''}`,
    ),
    ...clause(wider, 'wider', 'wider'),
  ];
}

function clause(modules: readonly LoraModule[], one: string, several: string): string[] {
  const names = [...new Set(modules.map(({ name }) => name))];
  if (names.length === 0) return [];
  if (names.length === 1) return [`${names[0]} is ${one}`];
  const shown = names.length > 6 ? [...names.slice(0, 5), `${names.length - 5} others`] : names;
  return [`${shown.slice(0, -1).join(', ')} and ${shown.at(-1)} are ${several}`];
}
