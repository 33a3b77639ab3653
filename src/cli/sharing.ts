import { formatBytes, formatCount } from '../base/quantities.ts';
import { inputsText } from '../model/plan/onInputs.ts';
import { SHARED_LAYERS } from '../model/plan/planRequest.ts';
import type { AlikePair, EqualTensors, ModuleAngles, SharedBases, SharingReport } from '../model/sharing/sharing.ts';
import { SHARING_DEFAULTS } from '../model/sharing/sharing.ts';
import {
  COMMON_HELP,
  type Command,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textOf,
} from './command.ts';
import { refuseInput } from './output.ts';
import { RESULT, showResult } from './result.ts';
import { digits, percent, table } from './table.ts';
import { TEXT, TEXT_HELP, textRequestOf } from './textOptions.ts';

const { keep: KEEP, directions: DIRECTIONS, near: NEAR } = SHARING_DEFAULTS;

export const sharingCommand: Command = {
  name: 'sharing',
  usage: 'PATH [--keep 0.8] [--layers 2] [--activations FILE] [--text FILE] [--json]',
  summary: 'what tensors and layers have in common, and what sharing factors saves',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --keep SHARE        the size at which shared and independent factors are compared (default: ${KEEP})
  --layers N          neighbouring layers that may share a factor, at most (default: ${SHARED_LAYERS}); 1 for none
  --directions K      leading directions of each layer whose principal angles are measured (default: ${DIRECTIONS})
  --near DIFFERENCE   two tensors are nearly equal below this relative difference, up to a factor (default: ${NEAR})
  --activations FILE  statistics of 'rankscope calibrate': errors are those of W X, for which factors are then chosen
${TEXT_HELP}
                      the perplexity of both plans is measured on it; without one, nothing is measured
  --context N         tokens of a window
  --tokens N          the most tokens to use
  --out FILE          write the result to FILE as JSON
  --force             replace FILE if it exists
  --json              print the result as JSON (schema: media/schemas/sharing.schema.json)
${ENGINE_HELP}
${COMMON_HELP}

Tied and untied but equal tensors, with what tying saves (an embedding and a head: V x d); nearly equal ones; how alike
the inputs are that the layers of a module read (principal angles of their leading right singular vectors; by chance,
K of n directions overlap); and factors A that several matrices share (query, key and value; gate and up; neighbouring
layers) beside independent ones with as many parameters. With --activations, all factors are those that lose least of what
matrices make of their inputs. To make such a plan: rankscope plan PATH --keep ${KEEP} --share both [--activations FILE]

Examples:
  rankscope sharing llama/ --keep 0.7 --layers 4
  rankscope sharing llama/ --activations llama.activations.safetensors --text wiki.txt --tokens 8192 --json > sharing.json`,
  options: {
    ...ENGINE,
    ...RESULT,
    ...TEXT,
    keep: { type: 'string' },
    layers: { type: 'string' },
    directions: { type: 'string' },
    near: { type: 'string' },
    activations: { type: 'string' },
  },
  run: sharing,
};

async function sharing(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const keep = numberOf(values, 'keep', { least: 0, most: 1 }) ?? KEEP;
  const layers = numberOf(values, 'layers', { least: 1, most: 1024, whole: true }) ?? SHARED_LAYERS;
  const directions = numberOf(values, 'directions', { least: 1, most: 64, whole: true }) ?? DIRECTIONS;
  const near = numberOf(values, 'near', { least: 0, most: 1 }) ?? NEAR;
  const hasText = textOf(values, 'text') !== undefined || textOf(values, 'ids') !== undefined;
  const text = hasText ? textRequestOf(values) : undefined;
  const activations = textOf(values, 'activations');
  const out = textOf(values, 'out');
  if (out !== undefined)
    for (const file of [text?.text, text?.ids, activations]) if (file) await refuseInput(out, file);
  const { signal, progress } = terminal;
  const request = {
    path,
    keep,
    layers,
    directions,
    near,
    ...(activations === undefined ? {} : { activations }),
    ...(text && { text }),
    ...engineOf(values),
  };
  await showResult(invocation, { work: () => service.sharing(request, { signal, progress }), report });
}

function* report(found: SharingReport, out: string | undefined): Generator<string> {
  const { equal, tiedByConfiguration: tied, alike, angles, bases, engine, seconds, notes } = found;
  yield* equalLines(equal);
  if (tied)
    yield `${tied.head} is ${tied.embedding}, as the configuration says: ${tied.shape.join(' x ')}, ${formatCount(tied.parameters)} parameters saved\n`;
  yield* alikeLines(alike);
  yield '\n';
  yield* angleTable(angles);
  yield '\n';
  yield* baseLines(bases);
  yield `\n${engine.device}, ${seconds.toFixed(1)} s\n`;
  for (const note of notes) yield `${note}\n`;
  if (out !== undefined) yield `Written to ${out}\n`;
}

function* equalLines(equal: readonly EqualTensors[]): Generator<string> {
  if (equal.length === 0) yield 'No two tensors are equal.\n';
  for (const { names, shape, copies, savedParameters, savedBytes } of equal) {
    const [first, ...others] = names;
    const saving =
      copies === 1
        ? 'tied already'
        : `${copies} copies in the file; tying them saves ${formatCount(savedParameters)} parameters, ${formatBytes(savedBytes)}`;
    yield `${first} = ${others.join(' = ')} (${shape.join(' x ')}): ${saving}\n`;
  }
}

/** Pairs that are listed at most; the JSON has all. */
const LISTED = 20;

function* alikeLines(alike: readonly AlikePair[]): Generator<string> {
  if (alike.length === 0) {
    yield 'No two other matrices are nearly equal.\n';
    return;
  }
  yield '\n';
  yield* table(
    ['compared', 'and', 'cosine', 'factor', 'difference'],
    alike
      .slice(0, LISTED)
      .map(({ first, second, cosine, factor, difference }) => [
        first,
        second,
        cosine.toFixed(4),
        digits(factor),
        percent(difference),
      ]),
  );
  if (alike.length > LISTED) yield `... and ${alike.length - LISTED} more pairs\n`;
}

function* angleTable(angles: readonly ModuleAngles[]): Generator<string> {
  yield* table(
    ['inputs read, layer against layer', 'layers', 'directions', 'neighbours', 'all', 'by chance', 'most alike'],
    angles.map(({ stack, module, layers, directions, inputs, pairs }) => {
      const place = new Map(layers.map((layer, k) => [layer, k]));
      const beside = pairs.filter(({ first, second }) => place.get(second)! - place.get(first)! === 1);
      const mean = (some: typeof pairs) =>
        some.reduce((sum, { overlap }) => sum + overlap, 0) / Math.max(1, some.length);
      const most = pairs.reduce((best, pair) => (pair.overlap > best.overlap ? pair : best), pairs[0]!);
      return [
        stack === undefined ? module : `${stack} ${module}`,
        String(layers.length),
        String(directions),
        percent(mean(beside)),
        percent(mean(pairs)),
        percent(directions / inputs),
        `${most.first}, ${most.second}: ${percent(most.overlap)}`,
      ];
    }),
  );
}

function* baseLines({
  keep,
  inputs,
  groups,
  independent,
  shared,
  parametersAtEqualError,
  sizes,
  evaluation,
}: SharedBases): Generator<string> {
  if (inputs) yield `Errors of W X, over ${inputsText(inputs)}:\n\n`;
  yield* table(
    ['kept', 'independent', 'shared', 'groups', 'matrices in them'],
    sizes.map((size) => [
      percent(size.keep),
      percent(size.independentError),
      percent(size.sharedError),
      String(size.groups),
      String(size.members),
    ]),
  );
  if (groups.length > 0) {
    yield `\nGroups that share a factor at ${percent(keep)}:\n`;
    yield* table(
      ['group', 'rank', 'parameters', 'error', 'apart'],
      groups.map(({ name, rank, parameters, error, independentError }) => [
        name,
        String(rank),
        formatCount(parameters),
        percent(error),
        percent(independentError),
      ]),
    );
  }
  yield `\nWith ${formatCount(independent.parameters)} parameters, independent factors have an error of ${percent(independent.error)}, shared ones of ${percent(shared.error)}\n`;
  if (parametersAtEqualError !== null) {
    const saved = independent.parameters - parametersAtEqualError;
    yield `At the error of independent factors, sharing saves ${formatCount(saved)} parameters (${percent(saved / independent.parameters)})\n`;
  }
  if (!evaluation) return;
  const [apart, together] = evaluation.variants;
  yield `Perplexity on ${evaluation.text.name}: ${digits(evaluation.dense.perplexity)} dense, ${digits(apart!.perplexity)} with independent and ${digits(together!.perplexity)} with shared factors\n`;
}
