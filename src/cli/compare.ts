import type { AdapterComparison, ComparedLayer, ComparedPair } from '../model/comparison.ts';
import { COMMON_HELP, type Command } from './command.ts';
import { RESULT, showResult } from './result.ts';
import { digits, percent, shortNames, table } from './table.ts';

export const compareCommand: Command = {
  name: 'compare',
  usage: 'PATH PATH... [--json] [--out FILE]',
  summary: 'several LoRA adapters of one base, layer by layer',
  help: `  PATH PATH...        adapter files or folders of PEFT adapters; or one file that holds several adapters
  --json              print one JSON object (schema: media/schemas/comparison.schema.json)
  --out FILE          write the JSON object to FILE as well
  --force             replace FILE if it exists
${COMMON_HELP}

Compares the updates scale B A, using only their factors. Overlap: similarity of the output and input subspaces that
the leading singular vectors span, as many as hold 99 % of the energy (Hu et al. 2021, section 7.2). Merged: the rank
that holds 99 % of the energy of their sum, out of the sum of their ranks.

Examples:
  rankscope compare german/ english/ french/
  rankscope compare a.safetensors b.safetensors --json > comparison.json`,
  options: RESULT,
  takesPath: 'several',
  run: (invocation) => {
    const { paths, service, terminal } = invocation;
    const { signal, progress } = terminal;
    return showResult(invocation, { work: () => service.compare({ paths }, { signal, progress }), report });
  },
};

function* report(comparison: AdapterComparison): Generator<string> {
  const { adapters, remarks, layers, pairs, across, skipped } = comparison;
  yield* table(
    ['adapter', 'is', 'layers', 'dead', 'norm', 'base'],
    adapters.map(({ label, layers: count, dead, norm, base }, index) => [
      label,
      letter(index),
      String(count),
      String(dead),
      digits(norm),
      base ?? '-',
    ]),
  );
  yield '\n';
  yield* table(
    ['pair, over all layers', 'cosine', 'output overlap', 'input overlap'],
    pairs.map(({ first, second, cosine, overlapLeft, overlapRight }) => [
      `${letter(first)} ${letter(second)}`,
      fixed(cosine),
      share(overlapLeft),
      share(overlapRight),
    ]),
  );
  yield '\n';
  yield* layerTable(comparison);
  yield '\n';
  yield* table(
    ['effective rank by module', ...adapters.map((_, index) => letter(index)), 'rank of the sums'],
    across.modules.map(({ module, effective, merged }) => [
      module,
      ...effective.map((value) => (value === null ? '-' : digits(value))),
      merged ? `${merged.rank}/${merged.concatenated}` : '-',
    ]),
  );
  yield '\nnorm: of scale B A; used: rank that holds 99 % of its energy, of the rank it has; x: not adapted, or left out;\n';
  yield 'cosine: of two updates; overlap: of their output and input spaces; merged: rank that holds 99 % of the sum.\n';
  if (across.merged)
    yield `Over all layers, the sums have rank ${across.merged.rank} of ${across.merged.concatenated}, at most ${across.merged.largest} in one.\n`;
  yield `${across.sentence}\n`;
  for (const remark of remarks) yield `Note: ${remark}\n`;
  for (const { name, remark } of layers) if (remark !== undefined) yield `Note: ${name}: ${remark}\n`;
  for (const { adapter, name, reason } of skipped)
    yield `Left out of ${adapters[adapter]?.label}: ${name}: ${reason}\n`;
}

/** One line per layer for each pair: a terminal has room for two adapters side by side. */
function* layerTable({ layers, adapters }: AdapterComparison): Generator<string> {
  const names = shortNames(layers.map(({ name }) => name));
  const single = adapters.length === 2;
  const rows = layers.flatMap((layer, index) => {
    const name = names[index] ?? layer.name;
    const own = adapters.map((_, place) => [normOf(layer, place), usedOf(layer, place)]);
    const merged = layer.merged ? `${layer.merged.rank}/${layer.merged.concatenated}` : '-';
    if (single) return [[name, ...own.flat(), ...numbersOf(layer.pairs[0]), merged]];
    return [[name, '', ...own.map((each) => each.join(' ')), '', '', '', merged]].concat(
      layer.pairs.map((pair) => [
        '',
        `${letter(pair.first)} ${letter(pair.second)}`,
        ...adapters.map(() => ''),
        ...numbersOf(pair),
        '',
      ]),
    );
  });
  const each = adapters.flatMap((_, place) =>
    single ? [`norm ${letter(place)}`, `used ${letter(place)}`] : [`${letter(place)}: norm used`],
  );
  yield* table(['layer', ...(single ? [] : ['pair']), ...each, 'cosine', 'out', 'in', 'merged'], rows);
}

const normOf = (layer: ComparedLayer, place: number) => {
  const update = layer.updates[place];
  return update ? (update.dead ? 'dead' : digits(update.norm)) : 'x';
};

const usedOf = (layer: ComparedLayer, place: number) => {
  const update = layer.updates[place];
  return update ? `${update.utilisedRank}/${update.rank}` : '';
};

const numbersOf = (pair: ComparedPair | undefined) => [
  fixed(pair?.cosine ?? null),
  share(pair?.overlapLeft ?? null),
  share(pair?.overlapRight ?? null),
];

// The sign of `-0.000` would look meaningful.
const fixed = (value: number | null) => (value === null ? '-' : value.toFixed(3).replace(/^-(0\.0+)$/, '$1'));
const share = (value: number | null) => (value === null ? '-' : percent(value));
/** A, B ... Z, A2, B2 ... */
const letter = (index: number) =>
  String.fromCharCode(65 + (index % 26)) + (index < 26 ? '' : String(Math.floor(index / 26) + 1));
