import { DENSE_ROLES } from '../model/names/roles.ts';
import type { Budget, Plan, PlanRequest } from '../model/plan/plan.ts';
import { SPREADS } from '../model/plan/plan.ts';
import { isMeasured, SHARED_LAYERS } from '../model/plan/planRequest.ts';
import { readRule } from '../model/plan/ruleText.ts';
import type { PlanSources } from '../protocol/service.ts';
import { choiceOf, numberOf, type OptionTable, textOf, textsOf, UsageError, type Values } from './command.ts';
import { bytesOf, countOf } from './sizes.ts';
import { textRequestOf } from './textOptions.ts';

export const isGiven = ({ activations, text }: PlanSources) => activations !== undefined || text !== undefined;

export function sourcesOf(values: Values, from: Plan | undefined): PlanSources {
  const activations = textOf(values, 'activations');
  const minutes = numberOf(values, 'minutes', { least: 0, most: 1e6 });
  const text = textOf(values, 'text') ?? textOf(values, 'ids');
  return {
    ...(activations === undefined ? {} : { activations }),
    ...(text === undefined ? {} : { text: textRequestOf(values) }),
    ...(minutes === undefined ? {} : { minutes }),
    ...(from === undefined ? {} : { from }),
  };
}

/** The request of the words of a command line; `defaults` where they say nothing. @throws UsageError */
export function requestOf(values: Values, defaults: PlanRequest, sources: PlanSources): PlanRequest {
  const budget = budgetOf(values) ?? defaults.budget;
  const spread =
    choiceOf(values, 'spread', SPREADS) ?? (isGiven(sources) && !sources.from ? 'activations' : defaults.spread);
  const request = { budget, spread };
  const unused = ['activations', 'text', 'ids', 'minutes'].find((name) => values[name] !== undefined);
  if (unused !== undefined && !isMeasured(request))
    throw new UsageError(
      budget.kind === 'rank' || budget.kind === 'compressionRatio'
        ? `--${unused} has no use with --${OPTIONS[budget.kind]}: nothing is spread`
        : `--${unused} goes with --spread activations or loss, not ${spread}`,
    );
  const multiple = numberOf(values, 'multiple', { least: 1, most: 65536, whole: true });
  const floor = numberOf(values, 'floor', { least: 0, most: 1 }) ?? defaults.floor;
  const rules = values.rule === undefined ? defaults.rules : textsOf(values, 'rule').map(ruleOf);
  const factors = choiceOf(values, 'factors', ['2', '3']);
  return {
    ...request,
    multiple: multiple ?? defaults.multiple,
    ...(floor === undefined ? {} : { floor }),
    exclude: values.exclude === undefined ? defaults.exclude : textsOf(values, 'exclude'),
    include: values.include === undefined ? (defaults.include ?? []) : textsOf(values, 'include').flatMap(kindsOf),
    overrides: defaults.overrides,
    ...(rules === undefined ? {} : { rules }),
    factors: factors === undefined ? defaults.factors : FACTORS[factors],
    ...shareOf(values),
  };
}

function shareOf(values: Values): Pick<PlanRequest, 'share'> {
  const what = choiceOf(values, 'share', ['inputs', 'layers', 'both']);
  const layers = numberOf(values, 'share-layers', { least: 2, most: 1024, whole: true });
  if (layers !== undefined && (what === undefined || what === 'inputs'))
    throw new UsageError('--share-layers goes with --share layers or both');
  if (what === undefined) return {};
  return { share: { inputs: what !== 'layers', layers: what === 'inputs' ? 1 : (layers ?? SHARED_LAYERS) } };
}

/** `embedding,head` as two kinds; anything else is one glob, whose braces may contain commas. */
function kindsOf(text: string): readonly string[] {
  const words = text.split(',').map((word) => word.trim());
  return words.every((word) => DENSE_ROLES.some((kind) => word === kind || word === `${kind}s`)) ? words : [text];
}

const FACTORS = { 2: 2, 3: 3 } as const;

function ruleOf(text: string): ReturnType<typeof readRule> & object {
  const rule = readRule(text);
  if (typeof rule === 'string') throw new UsageError(`--rule '${text}': ${rule}`);
  return rule;
}

/** The kinds of budgets, and their options. */
const OPTIONS = {
  keep: 'keep',
  bytes: 'bytes',
  multiplyAdds: 'multiply-adds',
  error: 'error',
  energy: 'energy',
  rank: 'rank',
  compressionRatio: 'compression-ratio',
} as const satisfies Readonly<Record<Budget['kind'], string>>;

/** The options of a budget and of what decides over single matrices. */
export const REQUEST: OptionTable = {
  ...Object.fromEntries(Object.values(OPTIONS).map((name) => [name, { type: 'string' } as const])),
  rule: { type: 'string', multiple: true },
};

function budgetOf(values: Values): Budget | undefined {
  const given = (Object.keys(OPTIONS) as Budget['kind'][]).filter((kind) => values[OPTIONS[kind]] !== undefined);
  const [kind] = given;
  if (kind === undefined) return undefined;
  const name = OPTIONS[kind];
  if (given.length > 1) {
    const said = given.map((each) => `--${OPTIONS[each]}`).join(' and ');
    throw new UsageError(`one budget is needed, not ${said} together`);
  }
  if (kind === 'rank') return { kind, value: numberOf(values, name, { least: 1, most: 2 ** 31, whole: true }) ?? 1 };
  if (kind === 'bytes') return { kind, value: bytesOf(textOf(values, name) ?? '', name, 1) };
  if (kind === 'multiplyAdds') return { kind, value: countOf(textOf(values, name) ?? '', name) };
  const value = numberOf(values, name, { least: 0, most: 1 }) ?? 0;
  if (kind === 'error' ? value === 1 : value === 0) {
    throw new UsageError(`--${name} ${value} is out of its range: ${kind === 'error' ? '[0, 1)' : '(0, 1]'}`);
  }
  return { kind, value };
}
