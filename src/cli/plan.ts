import { RankscopeError } from '../base/errors.ts';
import { groupBy } from '../base/groupBy.ts';
import { formatBytes, formatCount } from '../base/quantities.ts';
import { DENSE_ROLES } from '../model/names/roles.ts';
import { type Budget, type Plan, type PlanRequest, SPREADS } from '../model/plan/plan.ts';
import { isMeasured, PLAN_DEFAULTS, SHARED_LAYERS } from '../model/plan/planRequest.ts';
import type { Sensitivities } from '../model/plan/sensitivities.ts';
import type { PlanSources } from '../protocol/service.ts';
import {
  COMMON_HELP,
  type Command,
  choiceOf,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textOf,
  textsOf,
  UsageError,
  type Values,
} from './command.ts';
import { JUDGEMENT, judgementHelp } from './judgement/judgement.ts';
import { PLANNED, planTable } from './judgement/planned.ts';
import { refuseInput } from './output.ts';
import { readPlan } from './readPlan.ts';
import { RESULT, showResult } from './result.ts';
import { digits, percent, table } from './table.ts';
import { TEXT, TEXT_HELP, textRequestOf } from './textOptions.ts';

export const planCommand: Command = {
  name: 'plan',
  usage:
    'PATH (--keep SHARE | --energy SHARE | --error ERROR | --rank R) [--spread loss --text FILE] [--out plan.json]',
  summary: 'a rank for every matrix, within a budget',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --keep SHARE        keep at most this share of the parameters that may be cut, in (0, 1]
  --energy SHARE      keep this share of every matrix's energy, in (0, 1]
  --error ERROR       relative error allowed: root mean square over all matrices by their size, in [0, 1)
  --rank R            the same rank everywhere
  --spread HOW        optimal (default): least error; uniform: the same ratio; energy: the same energy; or by a text:
                      activations: least error of W X; loss: least KL divergence, measured for each matrix
  --activations FILE  statistics of activations from 'rankscope calibrate', for --spread activations or loss
${TEXT_HELP}
  --context N         tokens of a window (default: 512)
  --tokens N          the most tokens to use (default: 16384)
  --minutes N         what measuring may take; what it does not allow is filled in from neighbouring layers
  --from PLAN         use what was measured for PLAN, whose other settings are the defaults: nothing is measured again
  --floor SHARE       no rank below this share of a matrix's break-even rank (default: 0.3 for loss, else 0)
  --multiple N        ranks are multiples of N (default ${PLAN_DEFAULTS.multiple})
  --exclude GLOB      matrices that stay dense; may be repeated
  --include WHAT      also cut matrices that are dense by default: ${DENSE_ROLES.slice(0, 3).join(', ')}, ${DENSE_ROLES.slice(3).join(', ')},
                      or a glob of their names; may be repeated, kinds also with commas
  --factors 2|3       W = B A (default), or W = U S V
  --share WHAT        matrices may share their factor A where that loses less: inputs (q, k and v; gate and up), layers
                      (neighbouring ones of a module), or both; with --keep or --error
  --share-layers N    layers that may share, at most (default: ${SHARED_LAYERS})
  --out FILE          write the plan to FILE, for 'rankscope apply'
  --force             replace FILE if it exists
  --json              print the plan (schema: media/schemas/plan.schema.json)
${judgementHelp(PLANNED.metrics)}
${ENGINE_HELP}
${COMMON_HELP}

By default, embeddings, heads, routers, position tables, norms and stems stay dense. --keep counts what may be cut; the
share of the whole model is printed beside it. A plan from the weights alone ruins most language models long before it
makes them small: --spread loss looks at what each matrix does to the predictions.

Examples:
  rankscope plan model.safetensors --keep 0.6 --out plan.json
  rankscope plan llama/ --error 0.1 --multiple 8 --exclude '*.layers.0.*'
  rankscope plan llama/ --keep 0.8 --include embedding,head
  rankscope plan llama/ --keep 0.8 --spread loss --text wiki.txt --out plan.json
  rankscope plan llama/ --keep 0.7 --from plan.json --out smaller.json`,
  options: {
    ...ENGINE,
    ...RESULT,
    ...JUDGEMENT,
    ...TEXT,
    activations: { type: 'string' },
    minutes: { type: 'string' },
    from: { type: 'string' },
    floor: { type: 'string' },
    keep: { type: 'string' },
    energy: { type: 'string' },
    error: { type: 'string' },
    rank: { type: 'string' },
    spread: { type: 'string' },
    multiple: { type: 'string' },
    exclude: { type: 'string', multiple: true },
    include: { type: 'string', multiple: true },
    factors: { type: 'string' },
    share: { type: 'string' },
    'share-layers': { type: 'string' },
  },
  run: plan,
};

async function plan(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const budget = budgetOf(values);
  const fromFile = textOf(values, 'from');
  const from = fromFile === undefined ? undefined : await readPlan(fromFile);
  const sources = sourcesOf(values, from);
  const request = requestOf(values, budget, from?.request ?? PLAN_DEFAULTS, sources);
  const out = textOf(values, 'out');
  if (out !== undefined)
    for (const file of [fromFile, sources.text?.text, sources.text?.ids, sources.activations])
      if (file !== undefined) await refuseInput(out, file);
  if (fromFile !== undefined && !from!.sensitivities && !isGiven(sources))
    throw new RankscopeError('wrong-use', fromFile, 'nothing was measured for this plan', 'Name a text: --text FILE');
  const engine = engineOf(values);
  const { signal, progress } = terminal;
  return showResult(invocation, {
    work: async () => {
      const made = await service.plan({ path, request, sources, ...engine }, { signal, progress });
      for (const note of made.notes ?? []) terminal.warn(note);
      return made;
    },
    report,
    judged: PLANNED,
    inputs: [fromFile, sources.text?.text, sources.text?.ids, sources.activations],
  });
}

const isGiven = ({ activations, text }: PlanSources) => activations !== undefined || text !== undefined;

function sourcesOf(values: Values, from: Plan | undefined): PlanSources {
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

function requestOf(
  values: Values,
  budget: Budget,
  defaults: Omit<PlanRequest, 'budget'>,
  sources: PlanSources,
): PlanRequest {
  const spread =
    choiceOf(values, 'spread', SPREADS) ?? (isGiven(sources) && !sources.from ? 'activations' : defaults.spread);
  const request = { budget, spread };
  const unused = ['activations', 'text', 'ids', 'minutes'].find((name) => values[name] !== undefined);
  if (unused !== undefined && !isMeasured(request))
    throw new UsageError(
      budget.kind === 'rank'
        ? `--${unused} has no use with --rank: nothing is spread`
        : `--${unused} goes with --spread activations or loss, not ${spread}`,
    );
  const multiple = numberOf(values, 'multiple', { least: 1, most: 65536, whole: true });
  const floor = numberOf(values, 'floor', { least: 0, most: 1 }) ?? defaults.floor;
  const factors = choiceOf(values, 'factors', ['2', '3']);
  return {
    ...request,
    multiple: multiple ?? defaults.multiple,
    ...(floor === undefined ? {} : { floor }),
    exclude: values.exclude === undefined ? defaults.exclude : textsOf(values, 'exclude'),
    include: values.include === undefined ? (defaults.include ?? []) : textsOf(values, 'include').flatMap(kindsOf),
    overrides: defaults.overrides,
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

const BUDGETS = ['keep', 'energy', 'error', 'rank'] as const;

function budgetOf(values: Values): Budget {
  const given = BUDGETS.filter((kind) => values[kind] !== undefined);
  const [kind] = given;
  if (kind === undefined || given.length > 1) {
    const said = given.map((each) => `--${each}`).join(' and ');
    throw new UsageError(
      `one budget is needed: --keep, --energy, --error or --rank${said && `, not ${said} together`}`,
    );
  }
  if (kind === 'rank') return { kind, value: numberOf(values, kind, { least: 1, most: 2 ** 31, whole: true }) ?? 1 };
  const value = numberOf(values, kind, { least: 0, most: 1 }) ?? 0;
  if (kind === 'error' ? value === 1 : value === 0) {
    throw new UsageError(`--${kind} ${value} is out of its range: ${kind === 'error' ? '[0, 1)' : '(0, 1]'}`);
  }
  return { kind, value };
}

function* report(plan: Plan, out: string | undefined): Generator<string> {
  const { checkpoint, matrices, totals, sensitivities, unmet } = plan;
  const { headings, rows } = planTable(plan);
  yield* table(headings, rows);
  yield '\n';
  const dense = new Map<string, number>();
  for (const { rank, reason = '' } of matrices) if (rank === null) dense.set(reason, (dense.get(reason) ?? 0) + 1);
  for (const [reason, matricesOf] of dense) yield `Dense: ${matricesOf}, ${reason}\n`;
  if (matrices.some(({ rank, kinds, reason }) => rank === null && kinds && reason?.endsWith('dense by default')))
    yield 'To cut what is dense by default: --include KIND, or a glob of names\n';
  const { parametersBefore, parametersAfter } = totals;
  yield `${formatCount(parametersBefore)} parameters that may be cut become ${formatCount(parametersAfter)} (${percent(totals.keptShare)}), `;
  yield `${formatBytes(totals.bytesBefore)} become ${formatBytes(Math.round(totals.bytesAfter))}; predicted error ${percent(totals.error)}\n`;
  const whole = checkpoint.parameters;
  yield `The whole model keeps ${percent(totals.keptShareOfModel)}: ${formatCount(whole)} parameters become ${formatCount(whole - parametersBefore + parametersAfter)}\n`;
  const groups = groupBy(
    matrices.filter(({ shared }) => shared !== undefined),
    ({ shared }) => shared!,
  );
  for (const [name, { length, 0: first }] of groups)
    yield `Share a factor of rank ${first!.rank}: ${name} (${length} matrices)\n`;
  if (sensitivities) yield* sensitivityLines(sensitivities);
  if (unmet !== undefined) yield `The budget cannot be met: ${unmet}\n`;
  if (out !== undefined) yield `Written to ${out}\n`;
}

function* sensitivityLines({ inputs, divergences, matrices }: Sensitivities): Generator<string> {
  const tokens = inputs.tokens === null ? 'an unknown number of' : formatCount(inputs.tokens);
  yield `Activations: ${inputs.text ?? 'a text without a name'}, ${tokens} tokens\n`;
  if (!divergences) return;
  const { text, measured, filledIn, seconds } = divergences;
  const rest = filledIn > 0 ? `, ${filledIn} filled in` : '';
  yield `KL divergence: ${text}, ${formatCount(divergences.tokens)} tokens; ${measured} matrices measured${rest}, ${seconds.toFixed(0)} s\n`;
  const largest = matrices
    .filter(({ divergence }) => divergence)
    .sort((a, b) => b.divergence!.value - a.divergence!.value);
  const [most] = largest;
  if (most)
    yield `The most sensitive: ${most.name}, KL ${digits(most.divergence!.value)} at rank ${most.divergence!.rank}\n`;
}
