import { formatBytes } from '../base/quantities.ts';
import type { DiffedMatrix, ModelDiff } from '../model/diff/diff.ts';
import { parseHeads } from '../model/diff/restore.ts';
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
} from './command.ts';
import { RESULT, showResult } from './result.ts';
import { digits, percent, shortNames, table } from './table.ts';

/** Tensors that a list names; the JSON has all. */
const LISTED = 12;

export const diffCommand: Command = {
  name: 'diff',
  usage: 'BASE OTHER [options]',
  summary: 'two models, tensor by tensor: what changed, and of what rank the change is',
  help: `  BASE OTHER          checkpoints of one model: files or folders, of the same or of different formats
  --tensors GLOB      compare only tensors of the base whose name matches (may be repeated)
  --subspace N        dimension of the leading subspaces whose turn is measured (default: 16, and at most
                      a quarter of a matrix)
  --spectra           put all singular values of both models and of the difference, and every angle between the
                      leading subspaces, into the JSON, without the heads
  --restore HEADS     write OTHER with these attention heads as they are in BASE to the file of --out, instead of
                      comparing: LAYER.HEAD, as in 3.1,3.4,10.0-7, counted from 0
  --json              print one JSON object (schema: media/schemas/diff.schema.json)
  --out FILE          write the JSON object to FILE as well
  --force             replace FILE if it exists
${ENGINE_HELP}
${COMMON_HELP}

Tensors are matched by name, then by name without prefixes, by layer and role (GGUF against safetensors, Meta's names
against Hugging Face's), and fused projections with separate ones. Rank: that holds 99 % of the energy of the
difference. Turn: root mean square of the angles between the leading output and input subspaces.

Examples:
  rankscope diff base/ tuned/
  rankscope diff model.safetensors model.Q4_0.gguf --tensors '*q_proj*'
  rankscope diff base/ tuned/ --json > diff.json
  rankscope diff base/ tuned/ --restore 3.1,3.4 --out mixed.safetensors`,
  options: {
    ...RESULT,
    ...ENGINE,
    tensors: { type: 'string', multiple: true },
    subspace: { type: 'string' },
    spectra: { type: 'boolean' },
    restore: { type: 'string' },
  },
  takesPath: 'several',
  run: (invocation) => {
    const { paths, values, service, terminal } = invocation;
    const [base, other, ...more] = paths;
    if (base === undefined || other === undefined || more.length > 0)
      throw new UsageError('name two checkpoints: the base and the other model');
    const heads = textOf(values, 'restore');
    if (heads !== undefined) return restore(invocation, { base, other, heads });
    const tensors = textsOf(values, 'tensors');
    const subspace = numberOf(values, 'subspace', { least: 1, most: 256, whole: true });
    const request = {
      base,
      other,
      ...(tensors.length > 0 ? { tensors } : {}),
      ...(subspace === undefined ? {} : { subspace }),
      ...(values.spectra === true ? { spectra: true } : {}),
      ...engineOf(values),
    };
    const { signal, progress } = terminal;
    return showResult(invocation, { work: () => service.diff(request, { signal, progress }), report });
  },
};

async function restore(
  { values, service, terminal }: Invocation,
  { base, other, heads }: { base: string; other: string; heads: string },
): Promise<void> {
  const out = textOf(values, 'out');
  if (out === undefined) throw new UsageError('--restore needs --out, the safetensors file to write');
  for (const option of ['tensors', 'subspace', 'spectra', 'engine', 'threads', 'blas'])
    if (values[option] !== undefined) throw new UsageError(`--restore computes nothing: leave out --${option}`);
  const request = { base, other, out, heads: parseHeads(heads), overwrite: values.force === true };
  const { signal, progress } = terminal;
  const written = await service.restoreHeads(request, { signal, progress });
  if (values.json === true) return terminal.write([`${JSON.stringify(written, null, 2)}\n`]);
  const mixed = written.mixed.map((name) => `  ${name}\n`);
  const notes = written.remarks.map((remark) => `Note: ${remark}\n`);
  await terminal.write([
    `${out}: ${formatBytes(written.bytes)}, ${written.heads} heads as in ${base}, in ${mixed.length} tensors:\n`,
    ...mixed,
    ...notes,
  ]);
}

function* report(diff: ModelDiff): Generator<string> {
  const { totals, matrices, vectors, missing, added, reshaped, skipped, remarks } = diff;
  yield* table(
    ['model', 'family', 'layers', 'tensors'],
    [diff.base, diff.other].map(({ path, family, layers, tensors }) => [
      path,
      family ?? '-',
      String(layers),
      String(tensors),
    ]),
  );
  const change = totals.change === null ? '' : `; |D| / |base| ${percent(totals.change)}`;
  yield `\n${totals.changed} tensors changed, ${totals.identical} are identical`;
  yield `${totals.equal > 0 ? `, ${totals.equal} equal in another type` : ''}${change}\n`;
  const changed = matrices.filter(({ state }) => state === 'changed');
  if (changed.length > 0) {
    yield '\n';
    const names = shortNames(changed.map(({ name }) => name));
    yield* table(
      ['matrix', 'shape', 'change', 'rank', 'stable', 'values', 'turn out', 'turn in'],
      changed.map((matrix, index) => [names[index] ?? matrix.name, ...numbersOf(matrix)]),
    );
    yield '\nchange: |D| / |base|; rank: 99 % of the energy of D; stable: stable rank of D; values: change of the leading\n';
    yield 'singular values; turn: of the leading output and input subspaces, root mean square in degrees.\n';
  }
  const moved = vectors.filter(({ state }) => state === 'changed');
  if (moved.length > 0) {
    yield '\n';
    yield* table(
      ['other tensor', 'change', 'largest'],
      moved.map(({ name, change: part, largestDifference }) => [name, share(part), digits(largestDifference)]),
    );
  }
  yield* headTable(changed);
  const renamed = [...matrices, ...vectors].filter(({ otherName }) => otherName !== undefined);
  yield* list(
    'renamed',
    renamed.map(({ name, otherName, matchedBy }) => `${name} -> ${otherName} (${matchedBy})`),
  );
  const retyped = [...matrices, ...vectors].filter(({ otherDtype }) => otherDtype !== undefined);
  yield* list(
    'retyped',
    retyped.map(({ name, dtype, otherDtype }) => `${name}: ${dtype} -> ${otherDtype}`),
  );
  const shapes = reshaped.map(
    ({ name, shape, otherShape }) => `${name}: ${shape.join(' x ')} -> ${otherShape.join(' x ')}`,
  );
  yield* list('reshaped', shapes);
  yield* list(
    'missing',
    missing.map(({ name }) => name),
  );
  yield* list(
    'added',
    added.map(({ name }) => name),
  );
  for (const { name, remark } of matrices) if (remark !== undefined) yield `Note: ${name}: ${remark}\n`;
  for (const remark of remarks) yield `Note: ${remark}\n`;
  for (const { name, reason } of skipped) yield `Left out: ${name}: ${reason}\n`;
}

function numbersOf({ shape, change, difference, valueChange, turn }: DiffedMatrix): string[] {
  return [
    shape.join('x'),
    share(change),
    String(difference?.energyRanks['0.99'] ?? 0),
    digits(difference?.stableRank ?? null),
    share(valueChange),
    turn ? turn.left.mean.toFixed(1) : '-',
    turn ? turn.right.mean.toFixed(1) : '-',
  ];
}

/** The heads that change most. */
function* headTable(matrices: readonly DiffedMatrix[]): Generator<string> {
  const heads = matrices.flatMap(({ name, heads = [] }) =>
    heads.map((head, index) => ({ name: `${name} head ${index}`, ...head })),
  );
  if (heads.length === 0) return;
  const most = [...heads].sort((a, b) => (b.change ?? 0) - (a.change ?? 0)).slice(0, LISTED);
  yield '\n';
  yield* table(
    [`the ${most.length} of ${heads.length} heads that change most`, 'change', 'rank', 'stable', 'rank of D'],
    most.map(({ name, change, rank, stableRank, differenceRank }) => [
      name,
      share(change),
      digits(rank),
      digits(stableRank),
      String(differenceRank),
    ]),
  );
}

function* list(title: string, lines: readonly string[]): Generator<string> {
  if (lines.length === 0) return;
  yield `\n${lines.length} ${title}:\n`;
  for (const line of lines.slice(0, LISTED)) yield `  ${line}\n`;
  if (lines.length > LISTED) yield `  ... and ${lines.length - LISTED} more (--json lists all)\n`;
}

const share = (value: number | null) =>
  value === null ? '-' : value > 0 && value < 5e-4 ? `${digits(100 * value)} %` : percent(value);
