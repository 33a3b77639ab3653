import { formatBytes, formatCount } from '../base/quantities.ts';
import type { StatisticsSummary } from '../model/activations.ts';
import type { Analysis, MatrixFinding } from '../model/findings.ts';
import { analysisTable } from './analysisTable.ts';
import {
  COMMON_HELP,
  type Command,
  choiceOf,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  textOf,
  textsOf,
  UsageError,
} from './command.ts';
import { expertSummary } from './expertLines.ts';
import { ANALYZED } from './judgement/analyzed.ts';
import { JUDGEMENT, judgementHelp } from './judgement/judgement.ts';
import { RESULT, showResult } from './result.ts';
import { digits, table } from './table.ts';

export const analyzeCommand: Command = {
  name: 'analyze',
  usage: 'PATH [--json] [--values] [--mode coarse|preview|exact] [--tensor GLOB]... [--activations FILE] [--out FILE]',
  summary: 'the ranks of every matrix of a checkpoint',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --json              print one JSON object (schema: media/schemas/analysis.schema.json)
  --values            include all singular values in the JSON
  --mode MODE         exact (default): all singular values; preview: estimates with a band, much faster;
                      coarse: estimates with a wide band, faster still
  --tensor GLOB       analyze only matrices whose name matches; may be repeated
  --experts           list every expert of a mixture of experts, instead of one line for each module and layer
  --activations FILE  also measure W X, each matrix as a text's activations X see it: FILE is of 'rankscope calibrate',
                      of the script that it writes for Python, or an imatrix of llama.cpp (.gguf or .dat)
  --out FILE          write the JSON object to FILE as well
  --force             replace FILE if it exists
  --no-cache          do not use the cache of results
${judgementHelp(ANALYZED.metrics)}
${ENGINE_HELP}
${COMMON_HELP}

Examples:
  rankscope analyze model.safetensors
  rankscope analyze llama/ --tensor '*.self_attn.*' --mode preview
  rankscope analyze model.safetensors --json --values > spectra.json
  rankscope analyze llama/ --activations llama.activations.safetensors`,
  options: {
    ...ENGINE,
    ...RESULT,
    ...JUDGEMENT,
    values: { type: 'boolean' },
    mode: { type: 'string' },
    tensor: { type: 'string', multiple: true },
    experts: { type: 'boolean' },
    activations: { type: 'string' },
    'no-cache': { type: 'boolean' },
  },
  run: analyze,
};

function analyze(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const activations = textOf(values, 'activations');
  const mode = choiceOf(values, 'mode', ['exact', 'preview', 'coarse']) ?? 'exact';
  if (activations !== undefined && mode !== 'exact')
    throw new UsageError(`--activations needs --mode exact, not ${mode}: W X is not estimated`);
  const request = {
    path,
    ...engineOf(values),
    ...(activations === undefined ? {} : { activations }),
    mode,
    tensors: textsOf(values, 'tensor'),
    values: values.values === true,
    cache: values['no-cache'] !== true,
  } as const;
  const { signal, progress } = terminal;
  return showResult(invocation, {
    work: () => service.analyze(request, { signal, progress }),
    report: (analysis) => report(analysis, values.experts === true),
    judged: ANALYZED,
    inputs: [activations],
  });
}

function* report(analysis: Analysis, everyExpert: boolean): Generator<string> {
  const { checkpoint, engine, matrices, ties, skipped, warnings, activations } = analysis;
  yield `${checkpoint.path}: ${checkpoint.format}, ${formatCount(checkpoint.parameters)} parameters, ${formatBytes(checkpoint.bytes)}\n`;
  yield `Engine: ${engine.device}. ${engine.reason}\n\n`;
  const { lines, headings, rows } = analysisTable(analysis, everyExpert);
  yield* table(headings, rows);
  yield* expertSummary(lines);
  if (matrices.some(({ provenance }) => provenance === 'preview'))
    yield '\n~ previewed: an estimate, with its band in the JSON\n';
  yield '\neff.rank: exp of the entropy of the singular values; 90%, 95%, 99%: ranks that keep this share of the energy;\n';
  yield 'noise: values above the noise edge; num.: numerical rank; even: break-even rank, above which factors are larger;\n';
  yield 'alpha: exponent of the power law fitted to the squared values above any of them (Clauset, Shalizi and Newman 2009).\n';
  if (activations) yield* activationLines(activations, matrices);
  yield* adapterLines(matrices);
  yield* quantizationLines(matrices);
  for (const warning of warnings ?? []) yield `Note: ${warning}\n`;
  for (const names of ties) yield `Tied, counted once: ${names.join(', ')}\n`;
  if (skipped.length > 0) yield `Not analyzed: ${skipped.length} of ${checkpoint.tensors} tensors\n`;
  for (const { name, reason } of skipped.filter((each) => !PLAIN.has(each.reason))) yield `  ${name}: ${reason}\n`;
}

function* activationLines(
  { path, kind, text, producer, tokens }: StatisticsSummary,
  matrices: readonly MatrixFinding[],
): Generator<string> {
  const origin = [text && `the text ${text}`, tokens !== null && `${formatCount(tokens)} tokens`, producer];
  yield 'WX: energy ranks of W X, with X the inputs of the layer';
  yield kind === 'diagonal' ? ', of which the sums of squares alone are known\n' : '\n';
  yield `X: ${path} (${origin.filter((part) => part).join(', ')})\n`;
  const few = matrices.filter(({ activations }) => activations && activations.shrinkage > 0);
  if (few.length > 0)
    yield `Fewer tokens than inputs: ${few.length} matrices, for which X X^T + ${few[0]!.activations!.shrinkage} mean(diag(X X^T)) I stands in place of X X^T\n`;
}

function* adapterLines(matrices: readonly MatrixFinding[]): Generator<string> {
  const updates = matrices.filter(({ adapter }) => adapter);
  if (updates.length === 0) return;
  const ranks = spanOf(updates.map(({ adapter }) => adapter!.rank));
  const scales = spanOf(updates.map(({ adapter }) => adapter!.scale));
  const names = [...new Set(updates.flatMap(({ adapter }) => adapter!.name ?? []))];
  const subject =
    names.length === 0 ? 'Adapter' : `Adapters ${names.slice(0, 8).join(', ')}${names.length > 8 ? ' ...' : ''}`;
  yield `${subject}: ${updates.length} updates scale B A from their factors, of rank ${ranks} and scale ${scales}`;
  yield updates.some(({ adapter }) => adapter!.dora) ? '; DoRA also rescales the adapted matrices\n' : '\n';
  const dead = updates.filter(({ adapter }) => adapter!.dead).map(({ name }) => name);
  if (dead.length > 0)
    yield `Dead (a factor is all zero): ${dead.length}: ${dead.slice(0, 4).join(', ')}${dead.length > 4 ? ' ...' : ''}\n`;
}

function* quantizationLines(matrices: readonly MatrixFinding[]): Generator<string> {
  const counted = matrices.filter(({ quantizationRank }) => quantizationRank !== undefined);
  if (counted.length === 0) return;
  const lost = counted.filter(({ quantizationRank, shape }) => quantizationRank! < Math.min(...shape));
  yield `Quantized: ${counted.length} matrices, ${lost.length} of them with values below the edge of their rounding noise`;
  yield lost.length > 0 ? ' (quantizationRank in the JSON)\n' : '\n';
}

function spanOf(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? digits(low) : `${digits(low)} to ${digits(high)}`;
}

/** Reasons too common to be listed for each tensor. */
const PLAIN: ReadonlySet<string> = new Set(['a vector', 'a single number', 'empty']);
