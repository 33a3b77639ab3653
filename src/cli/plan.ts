import { RankscopeError } from '../base/errors.ts';
import { groupBy } from '../base/groupBy.ts';
import { formatBytes, formatCount } from '../base/quantities.ts';
import { DENSE_ROLES } from '../model/names/roles.ts';
import { DENSE_BY_DEFAULT } from '../model/plan/leftOut.ts';
import { inputsText } from '../model/plan/onInputs.ts';
import type { Plan } from '../model/plan/plan.ts';
import { FIRST_REQUEST, PLAN_DEFAULTS, SHARED_LAYERS } from '../model/plan/planRequest.ts';
import type { Sensitivities } from '../model/plan/sensitivities.ts';
import {
  COMMON_HELP,
  type Command,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  textOf,
  UsageError,
} from './command.ts';
import { curveText } from './curveText.ts';
import { JUDGEMENT, judgementHelp } from './judgement/judgement.ts';
import { PLANNED, planTable } from './judgement/planned.ts';
import { refuseExisting, refuseInput, writeTextFile } from './output.ts';
import { isGiven, REQUEST, requestOf, sourcesOf } from './planRequest.ts';
import { readPlan } from './readPlan.ts';
import { RESULT, showResult } from './result.ts';
import { digits, percent, table } from './table.ts';
import { TEXT, TEXT_HELP } from './textOptions.ts';

export const planCommand: Command = {
  name: 'plan',
  usage:
    'PATH [--keep SHARE | --bytes SIZE | --multiply-adds N | --error ERROR | --energy SHARE | --rank R] [--out FILE]',
  summary: 'a rank for every matrix, within a budget',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --keep SHARE        keep at most this share of the parameters that may be cut, in (0, 1] (default: ${FIRST_REQUEST.budget.value})
  --bytes SIZE        a file of the whole model of at most this size, such as 500MB or 1.5GiB, in the types of the source
  --multiply-adds N   at most so many in all matrices of the model for one token, such as 900M: each expert counts as
                      often as tokens pass it, a table of embeddings not at all, a convolution once a position
  --energy SHARE      keep this share of every matrix's energy, in (0, 1]
  --error ERROR       relative error allowed: root mean square over all matrices by their size, in [0, 1)
  --rank R            the same rank everywhere
  --compression-ratio C  rank max(1, C min(m, n)) everywhere, as tutorials count it (compress_model_svd): no share of
                      parameters; factors that save nothing stay dense
  --spread HOW        optimal (default): least error; uniform: the same ratio; energy: the same energy; or by a text:
                      activations: least error of W X; loss: least KL divergence, measured for each matrix
  --activations FILE  statistics of activations from 'rankscope calibrate', for --spread activations or loss
${TEXT_HELP}
  --context N         tokens of a window (default: 512)
  --tokens N          the most tokens to use (default: 16384)
  --minutes N         what measuring may take; what it does not allow is filled in from neighbouring layers
  --from PLAN         use what was measured for PLAN, whose other settings are the defaults: nothing is measured again
  --floor SHARE       no rank below this share of a matrix's break-even rank (default: 0.3 for loss, else 0)
  --rule 'GLOB: SETTINGS'  for matrices of these names: dense, rank N, keep SHARE (of their parameters), energy SHARE,
                      floor SHARE, multiple N, with commas; may be repeated, the last that matches counts
  --multiple N        ranks are multiples of N (default ${PLAN_DEFAULTS.multiple})
  --exclude GLOB      matrices that stay dense; may be repeated
  --include WHAT      also cut matrices that are dense by default: ${DENSE_ROLES.slice(0, 3).join(', ')}, ${DENSE_ROLES.slice(3).join(', ')},
                      or a glob of their names; may be repeated, kinds also with commas
  --factors 2|3       W = B A (default), or W = U S V
  --share WHAT        matrices may share their factor A where that loses less: inputs (q, k and v; gate and up), layers
                      (neighbouring ones of a module), or both; with --keep, --bytes,
                      --multiply-adds or --error
  --share-layers N    layers that may share, at most (default: ${SHARED_LAYERS})
  --curves FILE       write error against size for the whole model, of the weights and of what the text says, with the
                      place of the plan, to FILE (.csv or .json)
  --out FILE          write the plan to FILE, for 'rankscope apply'
  --force             replace FILE if it exists
  --json              print the plan (schema: media/schemas/plan.schema.json)
${judgementHelp(PLANNED.metrics)}
${ENGINE_HELP}
${COMMON_HELP}

${DENSE_BY_DEFAULT} --keep counts
what may be cut; the share of the whole model is printed beside it, which --bytes and --multiply-adds count. A plan from
the weights alone ruins most language models long before it makes them small: --spread loss looks at what each matrix
does to the predictions.

Examples:
  rankscope plan model.safetensors --keep 0.6 --out plan.json
  rankscope plan llama/ --error 0.1 --multiple 8 --exclude '*.layers.0.*'
  rankscope plan llama/ --keep 0.8 --include embedding,head
  rankscope plan llama/ --bytes 10GB --rule '*.down_proj.*: floor 0.5' --rule '*.layers.0.*: dense' --curves curves.csv
  rankscope plan llama/ --keep 0.8 --spread loss --text wiki.txt --out plan.json
  rankscope plan llama/ --keep 0.7 --from plan.json --out smaller.json`,
  options: {
    ...ENGINE,
    ...RESULT,
    ...JUDGEMENT,
    ...TEXT,
    ...REQUEST,
    curves: { type: 'string' },
    activations: { type: 'string' },
    minutes: { type: 'string' },
    from: { type: 'string' },
    floor: { type: 'string' },
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
  const fromFile = textOf(values, 'from');
  const from = fromFile === undefined ? undefined : await readPlan(fromFile);
  const sources = sourcesOf(values, from);
  const request = requestOf(values, from?.request ?? FIRST_REQUEST, sources);
  const out = textOf(values, 'out');
  const curves = textOf(values, 'curves');
  if (curves !== undefined && !/\.(csv|json)$/i.test(curves))
    throw new UsageError(`--curves takes a file that ends in .csv or .json, not '${curves}'`);
  if (curves !== undefined && curves === out) throw new UsageError('--curves and --out name one file');
  const inputs = [fromFile, sources.text?.text, sources.text?.ids, sources.activations];
  for (const target of [out, curves])
    for (const file of inputs) if (target !== undefined && file !== undefined) await refuseInput(target, file);
  if (curves !== undefined) await refuseExisting(curves, values.force === true, path);
  if (fromFile !== undefined && !from!.sensitivities && !isGiven(sources))
    throw new RankscopeError('wrong-use', fromFile, 'nothing was measured for this plan', 'Name a text: --text FILE');
  const engine = engineOf(values);
  const { signal, progress } = terminal;
  return showResult(invocation, {
    work: async () => {
      const made = await service.plan({ path, request, sources, ...engine }, { signal, progress });
      for (const note of made.notes ?? []) terminal.warn(note);
      if (curves !== undefined) {
        const found = await service.planCurves({ path, plan: made, ...engine }, { signal, progress });
        await writeTextFile(curves, curveText(curves, found), { force: values.force === true, signal });
      }
      return made;
    },
    report: (made, written) => report(made, written, curves),
    judged: PLANNED,
    inputs,
  });
}

function* report(plan: Plan, out: string | undefined, curves: string | undefined): Generator<string> {
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
  if (totals.bytesOfModel !== undefined && totals.multiplyAddsBefore !== undefined)
    yield `As a file of its own: about ${formatBytes(Math.round(totals.bytesOfModel))}, the checkpoint has ${formatBytes(checkpoint.bytes)}; ${formatCount(totals.multiplyAddsBefore)} multiply-adds for a token become ${formatCount(Math.round(totals.multiplyAddsAfter ?? 0))}\n`;
  const groups = groupBy(
    matrices.filter(({ shared }) => shared !== undefined),
    ({ shared }) => shared!,
  );
  for (const [name, { length, 0: first }] of groups)
    yield `Share a factor of rank ${first!.rank}: ${name} (${length} matrices)\n`;
  if (sensitivities) yield* sensitivityLines(sensitivities);
  if (unmet !== undefined) yield `The budget cannot be met: ${unmet}\n`;
  if (out !== undefined) yield `Written to ${out}\n`;
  if (curves !== undefined) yield `Error against size: ${curves}\n`;
}

function* sensitivityLines({ inputs, divergences, matrices }: Sensitivities): Generator<string> {
  yield `Activations: ${inputsText(inputs)}\n`;
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
