import { formatBytes, formatCount } from '../../base/quantities.ts';
import {
  EXTRACT_SPREADS,
  EXTRACT_TARGETS,
  EXTRACT_TYPES,
  type Extraction,
  type ExtractRequest,
  type ExtractTarget,
} from '../../model/lora/extraction.ts';
import { choiceText, extractPreview, usualChoices } from '../../model/lora/extractPreview.ts';
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
} from '../command.ts';
import { jsonPieces } from '../output.ts';
import { digits, percent, shortNames, table } from '../table.ts';
import { WRITING, writingHelp } from './written.ts';

export const loraExtractCommand: Command = {
  name: 'lora extract',
  usage: 'BASE TUNED [--out FOLDER] [--rank R | --energy E | --error E | --parameters N]',
  summary: 'an adapter of what a tuned model has changed in its base',
  help: `  BASE                the model before
  TUNED               the model after, whole
  --out FOLDER        the folder to write, for PEFT; without it, the table alone is shown
  --rank R            the same rank for every matrix
  --energy E          the least rank with this share of the squared difference (0 to 1)
  --error E           the least rank that leaves this part of the norm of the difference (0 to 1)
  --parameters N      the least error with N parameters in all
  --spread each|all   whether every matrix meets the target, or all together with the least error or the fewest
                      parameters (default: each)
  --max-rank R        the largest rank of a matrix
  --targets GLOB      only matrices that match; embeddings must be named (may be given several times)
  --exclude GLOB      leave matrices out (may be given several times)
  --modules-to-save   write whole what LoRA does not hold: norms, embeddings, biases
  --dtype TYPE        of the factors: F32 (default), F16 or BF16
${writingHelp('extraction')}
${ENGINE_HELP}
${COMMON_HELP}

Without a target, each rank is the number of singular values that rounding of the weights does not explain, at most 64;
without a folder either, a second table says what other targets would give.
Matrices that are equal are left out, and no rank is 0. One matrix at a time is in memory.

Examples:
  rankscope lora extract llama/ llama-tuned/ --error 0.3
  rankscope lora extract llama/ llama-tuned/ --rank 16 --spread all --out adapter/ --modules-to-save`,
  options: {
    ...ENGINE,
    ...WRITING,
    rank: { type: 'string' },
    energy: { type: 'string' },
    error: { type: 'string' },
    parameters: { type: 'string' },
    spread: { type: 'string' },
    'max-rank': { type: 'string' },
    targets: { type: 'string', multiple: true },
    exclude: { type: 'string', multiple: true },
    'modules-to-save': { type: 'boolean' },
    dtype: { type: 'string' },
  },
  takesPath: 'several',
  run: extract,
};

async function extract(invocation: Invocation): Promise<void> {
  const { paths, values, service, terminal } = invocation;
  const [base, tuned, extra] = paths;
  if (base === undefined || tuned === undefined) throw new UsageError('two models are needed, BASE and TUNED');
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`);
  const { signal, progress } = terminal;
  const request = requestOf(base, tuned, values);
  const extraction = await service.loraExtract(request, { signal, progress });
  await terminal.write(values.json === true ? jsonPieces(extraction) : report(extraction));
  if (values.json !== true && request.values) await terminal.write(previews(extraction, request));
}

function requestOf(base: string, tuned: string, values: Values): ExtractRequest {
  const target = targetOf(values);
  const out = textOf(values, 'out');
  const spread = choiceOf(values, 'spread', EXTRACT_SPREADS);
  const mostRank = numberOf(values, 'max-rank', { least: 1, most: 1e6, whole: true });
  const dtype = choiceOf(values, 'dtype', EXTRACT_TYPES);
  const tensors = textsOf(values, 'targets');
  // With all singular values at hand, other targets can be told as well.
  const previewed = out === undefined && !target && values.json !== true;
  return {
    ...(previewed ? { values: true } : {}),
    base,
    tuned,
    ...engineOf(values),
    ...(out === undefined ? {} : { out, overwrite: values.force === true }),
    ...(target ? { target } : {}),
    ...(spread ? { spread } : {}),
    ...(mostRank === undefined ? {} : { mostRank }),
    ...(dtype ? { dtype } : {}),
    ...(tensors.length > 0 ? { tensors } : {}),
    exclude: textsOf(values, 'exclude'),
    modulesToSave: values['modules-to-save'] === true,
  };
}

function targetOf(values: Values): ExtractTarget | undefined {
  const found = EXTRACT_TARGETS.flatMap((by) => {
    const isShare = by === 'energy' || by === 'error';
    const value = numberOf(values, by, isShare ? { least: 0, most: 1 } : { least: 1, most: 1e15, whole: true });
    return value === undefined ? [] : [{ by, value }];
  });
  if (found.length > 1) throw new UsageError(`only one of ${EXTRACT_TARGETS.map((by) => `--${by}`).join(', ')}`);
  return found[0];
}

function* previews(extraction: Extraction, { mostRank, modulesToSave }: ExtractRequest): Generator<string> {
  yield '\n';
  yield* table(
    ['target', 'ranks', 'parameters', 'predicted error'],
    usualChoices(extraction).map((choice) => {
      const most = mostRank === undefined ? {} : { mostRank };
      const { ranks, parameters, predictedError } = extractPreview(
        extraction,
        { ...choice, ...most },
        modulesToSave === true,
      );
      return [choiceText(choice), [...new Set(ranks)].join(' to '), formatCount(parameters), digits(predictedError)];
    }),
  );
}

function* report({ matrices, others, totals, unchanged, out, remarks }: Extraction): Generator<string> {
  const names = shortNames(matrices.map(({ name }) => name));
  yield* table(
    [
      'matrix',
      'change',
      'share',
      'rank',
      'above rounding',
      'predicted error',
      ...(out === null ? [] : ['measured error']),
    ],
    matrices.map(({ change, share, rank, aboveRounding, predictedError, measuredError }, index) => [
      names[index]!,
      change === null ? '-' : percent(change),
      percent(share),
      String(rank),
      aboveRounding === null ? '-' : String(aboveRounding),
      digits(predictedError),
      ...(out === null ? [] : [digits(measuredError ?? 0)]),
    ]),
  );
  if (others.length > 0) {
    yield '\n';
    yield* table(
      ['not held by LoRA', 'kind', 'change', 'share', 'can be saved in'],
      others.map(({ name, kind, change, share, module, reason, newRows }) => [
        name,
        newRows === undefined ? kind : `${kind}, ${Math.abs(newRows)} ${newRows > 0 ? 'new' : 'fewer'} rows`,
        change === null ? '-' : percent(change),
        percent(share),
        module ?? `- (${reason})`,
      ]),
    );
  }
  const { parameters, bytes, predictedError, measuredError } = totals;
  yield `\n${formatCount(parameters)} parameters for ${matrices.length} matrices; ${unchanged} are equal in both\n`;
  yield `Error over the whole difference: ${digits(predictedError)} predicted`;
  yield measuredError === null ? '\n' : `, ${digits(measuredError)} measured\n`;
  if (out !== null) yield `Written to ${out}, ${formatBytes(bytes ?? 0)}\n`;
  for (const remark of remarks) yield `${remark}\n`;
}
