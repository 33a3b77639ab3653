import { formatBytes, formatCount } from '../base/quantities.ts';
import { DENSE_ROLES } from '../model/names/roles.ts';
import type { Budget, Plan } from '../model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../model/plan/planRequest.ts';
import {
  COMMON_HELP,
  type Command,
  choiceOf,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textsOf,
  UsageError,
  type Values,
} from './command.ts';
import { RESULT, showResult } from './result.ts';
import { percent, shortNames, table } from './table.ts';

export const planCommand: Command = {
  name: 'plan',
  usage: 'PATH (--keep SHARE | --energy SHARE | --error ERROR | --rank R) [--include KIND] [--out plan.json]',
  summary: 'a rank for every matrix, within a budget',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --keep SHARE        keep at most this share of the parameters that may be cut, in (0, 1]
  --energy SHARE      keep this share of every matrix's energy, in (0, 1]
  --error ERROR       relative error allowed: root mean square over all matrices by their size, in [0, 1)
  --rank R            the same rank everywhere
  --spread HOW        optimal (default): least error; uniform: the same ratio; energy: the same energy
  --multiple N        ranks are multiples of N (default ${PLAN_DEFAULTS.multiple})
  --exclude GLOB      matrices that stay dense; may be repeated
  --include WHAT      also cut matrices that are dense by default: ${DENSE_ROLES.slice(0, 3).join(', ')}, ${DENSE_ROLES.slice(3).join(', ')},
                      or a glob of their names; may be repeated, kinds also with commas
  --factors 2|3       W = B A (default), or W = U S V
  --out FILE          write the plan to FILE, for 'rankscope apply'
  --force             replace FILE if it exists
  --json              print the plan (schema: media/schemas/plan.schema.json)
${ENGINE_HELP}
${COMMON_HELP}

By default, embeddings, heads, routers, position tables, norms and stems stay dense. --keep counts what may be cut; the
share of the whole model is printed beside it.

Examples:
  rankscope plan model.safetensors --keep 0.6 --out plan.json
  rankscope plan llama/ --error 0.1 --multiple 8 --exclude '*.layers.0.*'
  rankscope plan llama/ --keep 0.8 --include embedding,head`,
  options: {
    ...ENGINE,
    ...RESULT,
    keep: { type: 'string' },
    energy: { type: 'string' },
    error: { type: 'string' },
    rank: { type: 'string' },
    spread: { type: 'string' },
    multiple: { type: 'string' },
    exclude: { type: 'string', multiple: true },
    include: { type: 'string', multiple: true },
    factors: { type: 'string' },
  },
  run: plan,
};

function plan(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const request = {
    budget: budgetOf(values),
    spread: choiceOf(values, 'spread', ['optimal', 'uniform', 'energy']) ?? PLAN_DEFAULTS.spread,
    multiple: numberOf(values, 'multiple', { least: 1, most: 65536, whole: true }) ?? PLAN_DEFAULTS.multiple,
    exclude: textsOf(values, 'exclude'),
    include: textsOf(values, 'include').flatMap(kindsOf),
    overrides: PLAN_DEFAULTS.overrides,
    factors: FACTORS[choiceOf(values, 'factors', ['2', '3']) ?? PLAN_DEFAULTS.factors],
  } as const;
  const engine = engineOf(values);
  const { signal, progress } = terminal;
  return showResult(invocation, {
    work: async () => {
      const made = await service.plan({ path, request, ...engine }, { signal, progress });
      for (const note of made.notes ?? []) terminal.warn(note);
      return made;
    },
    report,
  });
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

function* report({ checkpoint, matrices, totals, unmet }: Plan, out: string | undefined): Generator<string> {
  const names = shortNames(matrices.map(({ name }) => name));
  yield* table(
    ['matrix', 'shape', 'rank', 'kept', 'error'],
    matrices.map(({ name, shape, rank, parametersBefore, parametersAfter, error }, index) => [
      names[index] ?? name,
      shape.join('x'),
      rank === null ? 'dense' : String(rank),
      percent(parametersAfter / parametersBefore),
      rank === null ? '' : percent(error),
    ]),
  );
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
  if (unmet !== undefined) yield `The budget cannot be met: ${unmet}\n`;
  if (out !== undefined) yield `Written to ${out}\n`;
}
