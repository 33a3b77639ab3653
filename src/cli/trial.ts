import { formatCount, significant } from '../base/quantities.ts';
import {
  TRIAL_BATCHES,
  TRIAL_DEFAULTS,
  TRIAL_LIMITS,
  TRIAL_METHODS,
  type Trial,
  type TrialMatrix,
  type TrialMethod,
  type TrialResult,
} from '../model/trial.ts';
import {
  COMMON_HELP,
  type Command,
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
import { refuseInput } from './output.ts';
import { RESULT, showResult } from './result.ts';
import { digits, table } from './table.ts';

const { oversampling: OVERSAMPLING, powerIterations: POWER, probes: PROBES, seed: SEED } = TRIAL_DEFAULTS;

export const trialCommand: Command = {
  name: 'trial',
  usage: 'PATH --rank R,R,R [--tensor GLOB]... [--method exact,randomized,nystrom] [--json]',
  summary: 'what truncating a matrix does, measured, by several methods side by side',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --rank R,R,R        the ranks to try, ${TRIAL_LIMITS.ranks} at most
  --tensor GLOB       only matrices whose names match; may be repeated (default: all)
  --method M,M        ${TRIAL_METHODS.join(', ')} (default: ${TRIAL_DEFAULTS.methods.join(',')})
  --oversampling N    columns of a sketch beyond the rank (default: ${OVERSAMPLING})
  --power N           power iterations of the randomized method (default: ${POWER})
  --probes N          random vectors that predict the error of nystrom (default: ${PROBES})
  --seed N            of the random numbers (default: ${SEED})
  --activations FILE  also measure the error as a text's activations see it: FILE is of 'rankscope calibrate', or
                      llama.cpp's imatrix
  --values            the JSON also has the singular values of each residual
  --out FILE          write the result to FILE as JSON
  --force             replace FILE if it exists
  --json              print the result as JSON (schema: media/schemas/trial.schema.json)
${ENGINE_HELP}
${COMMON_HELP}

Nothing is written but this report. The error is ||W - B A|| / ||W||, measured with factors in f32; the prediction
beside it comes from the spectrum (exact), from norms (randomized, column-row) or from probes (nystrom). Products are
y = W x against y = B (A x) with ${TRIAL_BATCHES.join(' and ')} inputs, timed on the device in use. A pass is one reading of the whole matrix
by the algorithm; the exact one rewrites it in memory.

Examples:
  rankscope trial model.safetensors --tensor '*.0.mlp.down_proj.weight' --rank 64,128,256
  rankscope trial llama/ --tensor '*.q_proj.weight' --rank 256 --method randomized --power 4 --json > trial.json`,
  options: {
    ...ENGINE,
    ...RESULT,
    rank: { type: 'string', multiple: true },
    tensor: { type: 'string', multiple: true },
    method: { type: 'string', multiple: true },
    oversampling: { type: 'string' },
    power: { type: 'string' },
    probes: { type: 'string' },
    seed: { type: 'string' },
    activations: { type: 'string' },
    values: { type: 'boolean' },
  },
  run: trial,
};

async function trial(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const ranks = ranksOf(values);
  const methods = methodsOf(values);
  const whole = (name: string, [least, most]: readonly [number, number]) =>
    numberOf(values, name, { least, most, whole: true });
  const oversampling = whole('oversampling', TRIAL_LIMITS.oversampling) ?? OVERSAMPLING;
  const powerIterations = whole('power', TRIAL_LIMITS.powerIterations) ?? POWER;
  const probes = whole('probes', TRIAL_LIMITS.probes) ?? PROBES;
  const seed = whole('seed', TRIAL_LIMITS.seed) ?? SEED;
  const activations = textOf(values, 'activations');
  const [out, tensors] = [textOf(values, 'out'), textsOf(values, 'tensor')];
  if (out !== undefined && activations !== undefined) await refuseInput(out, activations);
  const request = {
    ...{ path, ranks, methods, oversampling, powerIterations, probes, seed },
    ...(tensors.length > 0 && { tensors }),
    ...(activations !== undefined && { activations }),
    ...(values.values === true && { values: true }),
    ...engineOf(values),
  };
  const { signal, progress } = terminal;
  await showResult(invocation, { work: () => service.trial(request, { signal, progress }), report });
}

/** The words of an option that may be repeated and has commas. */
const listOf = (values: Values, name: string) =>
  textsOf(values, name).flatMap((text) => text.split(',').map((word) => word.trim()));

function ranksOf(values: Values): number[] {
  const words = listOf(values, 'rank');
  if (words.length === 0) throw new UsageError('--rank is missing: give the ranks to try, such as --rank 64,128');
  const ranks = words.map(Number);
  const wrong = words.find((word, at) => word === '' || !Number.isSafeInteger(ranks[at]) || ranks[at]! < 1);
  if (wrong !== undefined) throw new UsageError(`--rank takes whole numbers from 1 on, not '${wrong}'`);
  return ranks;
}

function methodsOf(values: Values): readonly TrialMethod[] {
  const words = listOf(values, 'method');
  const wrong = words.find((word) => !TRIAL_METHODS.some((method) => method === word));
  if (wrong !== undefined) throw new UsageError(`--method takes ${TRIAL_METHODS.join(', ')}, not '${wrong}'`);
  return words.length === 0 ? TRIAL_DEFAULTS.methods : TRIAL_METHODS.filter((method) => words.includes(method));
}

function* report(found: Trial, out: string | undefined): Generator<string> {
  const { matrices, skipped, engine, seconds, notes, oversampling, powerIterations, probes, seed } = found;
  for (const matrix of matrices) yield* matrixLines(matrix);
  for (const { name, reason } of skipped) yield `${name} is left out: ${reason}\n`;
  if (skipped.length > 0) yield '\n';
  yield `Sketches: ${oversampling} columns beyond the rank, ${powerIterations} power iterations, ${probes} probes, seed ${seed}\n`;
  for (const note of notes) yield `${note}\n`;
  yield `${engine.device}, ${seconds.toFixed(1)} s\n`;
  if (out !== undefined) yield `Written to ${out}\n`;
}

function* matrixLines(matrix: TrialMatrix): Generator<string> {
  const { name, shape, dtype, frobeniusNorm, breakEvenRank, ranks, normOnActivations } = matrix;
  yield `${name}: ${shape.join(' x ')} ${dtype}, norm ${digits(frobeniusNorm)}, break-even rank ${breakEvenRank}\n`;
  const seen = normOnActivations !== undefined;
  yield* table(
    [
      'rank, method',
      'error',
      'predicted',
      'largest left',
      ...(seen ? ['seen'] : []),
      'passes',
      'multiply-adds',
      'time',
    ],
    ranks.flatMap(({ rank, results }) =>
      results.map((result) => [
        `${rank} ${result.method}`,
        fine(result.error),
        predicted(result),
        digits(result.residual.spectralNorm),
        ...(seen ? [result.onActivations == null ? '-' : fine(result.onActivations)] : []),
        result.cost.passes === null ? 'in memory' : String(result.cost.passes),
        formatCount(result.cost.multiplyAdds),
        duration(result.cost.seconds),
      ]),
    ),
  );
  yield '\n';
  yield* table(
    ['product', 'multiply-adds', ...TRIAL_BATCHES.map((batch) => `time for ${batch}`)],
    [
      { label: 'W x', product: matrix.product },
      ...ranks.map(({ rank, pays, product }) => {
        return { label: `B (A x), rank ${rank}${pays ? '' : ', does not pay'}`, product };
      }),
    ].map(({ label, product: { multiplyAdds, seconds } }) => [
      label,
      formatCount(multiplyAdds),
      ...TRIAL_BATCHES.map((batch) => duration(seconds[batch])),
    ]),
  );
  yield '\n';
}

function predicted({ predicted: { error, basis, band } }: TrialResult): string {
  return basis === 'probes' ? `${fine(error)} (${fine(band[0])} to ${fine(band[1])})` : fine(error);
}

/** Predictions and measurements often agree to three digits. */
const fine = (share: number) => `${(100 * share).toFixed(3)} %`;

function duration(seconds: number): string {
  if (seconds >= 1) return `${significant(seconds)} s`;
  return seconds >= 1e-3 ? `${significant(1e3 * seconds)} ms` : `${significant(1e6 * seconds)} µs`;
}
