import { ENERGY_LEVELS } from '../base/energyLevels.ts';
import { baseName } from '../base/paths.ts';
import type { FindingInCode } from './codeCalls.ts';
import { depthPicture } from './depthPicture.ts';
import { type ModuleRanks, type Summary, summarize } from './rankSummary.ts';

/** Rows of a table at most: longer tables do not suit a hover. */
const ROWS = 12;

/** The only commands that links in a hover can run. */
export const HOVER_COMMANDS = ['rankscope.analyze', 'rankscope.reveal', 'rankscope.setRank'] as const;

/** The Markdown about modules of one checkpoint. */
export function hoverText(path: string, groups: readonly ModuleRanks[]): string {
  const file = baseName(path);
  const [only] = groups;
  if (groups.every(({ findings }) => findings.length === 0)) return unanalyzed(path, file, groups);
  return groups.length === 1 && only ? oneModule(path, file, only) : severalModules(path, file, groups);
}

function oneModule(path: string, file: string, { pattern, matrices, findings }: ModuleRanks): string {
  const [first] = findings;
  const measured = findings.length < matrices.length ? `, ${findings.length} analyzed so far` : '';
  const count = matrices.length === 1 ? '' : `${matrices.length} layers, `;
  const shape = sameShape(matrices.map((matrix) => matrix.shape.join(' x ')));
  const full = Math.max(...matrices.map((matrix) => Math.min(...matrix.shape)));
  const preview = findings.some(({ provenance }) => provenance === 'preview') ? ' (preview)' : '';
  const picture = depthPicture(findings);
  return [
    `**\`${code(pattern)}\`** in ${escaped(file)}`,
    `${count}${shape}, full rank ${full}${measured}${preview}`,
    measuresTable(findings),
    ...(picture ? [`![Effective rank over the layers; dashed: break-even rank](${picture})`] : []),
    [
      link('Open in the heatmap', 'rankscope.reveal', { path, name: first?.name }),
      link('Set the rank', 'rankscope.setRank', { path, names: matrices.map(({ name }) => name) }),
    ].join(' · '),
  ].join('\n\n');
}

/** A column for each measure keeps the table low, so that the picture below it is in view too. */
function measuresTable(findings: readonly FindingInCode[]): string {
  const seen = findings.flatMap(({ activations }) => activations ?? []);
  const columns = [
    {
      title: 'effective',
      digits: 1,
      values: findings.map(({ effectiveRank }) => effectiveRank),
      seen: seen.map(({ effectiveRank }) => effectiveRank),
    },
    ...ENERGY_LEVELS.map((level) => ({
      title: `${Number(level) * 100} % energy`,
      digits: 0,
      values: findings.map(({ energyRanks }) => energyRanks[level]),
      seen: seen.map(({ energyRanks }) => energyRanks[level]),
    })),
    { title: 'break-even', digits: 0, values: findings.map(({ breakEvenRank }) => breakEvenRank), seen: [] },
  ].map(({ values, seen: others, ...rest }) => ({ ...rest, range: summarize(values)!, seen: summarize(others) }));
  const row = (name: string, cells: readonly string[]) => `| ${[name, ...cells].join(' | ')} |`;
  return [
    row(
      'rank',
      columns.map(({ title }) => title),
    ),
    row(
      '---',
      columns.map(() => '---'),
    ),
    row(
      findings.length > 1 ? 'median' : '',
      columns.map(({ range, digits }) => number(range.median, digits)),
    ),
    ...(findings.length > 1
      ? [
          row(
            'range',
            columns.map(({ range, digits }) => ends(range, digits)),
          ),
        ]
      : []),
    ...(seen.length > 0
      ? [
          row(
            findings.length > 1 ? 'median of W X' : 'of W X',
            columns.map(({ seen: range, digits }) => (range ? number(range.median, digits) : '')),
          ),
        ]
      : []),
  ].join('\n');
}

function severalModules(path: string, file: string, groups: readonly ModuleRanks[]): string {
  const rows = groups.slice(0, ROWS).map(({ pattern, findings }) => {
    const effective = summarize(findings.map(({ effectiveRank }) => effectiveRank));
    const energy = summarize(findings.map(({ energyRanks }) => energyRanks['0.95']));
    const breakEven = summarize(findings.map(({ breakEvenRank }) => breakEvenRank));
    const cells = [effective && ranks(effective, 1), energy && ranks(energy, 0), breakEven && ranks(breakEven, 0)];
    return `| \`${code(pattern)}\` | ${cells.map((cell) => cell ?? 'not yet').join(' | ')} |`;
  });
  const name = groups.find(({ findings }) => findings.length > 0)?.findings[0]?.name;
  return [
    `**${groups.length} modules** in ${escaped(file)}`,
    ['| module | effective rank | rank for 95 % energy | break-even rank |', '|---|---|---|---|', ...rows].join('\n'),
    ...(groups.length > ROWS ? [`and ${groups.length - ROWS} more`] : []),
    link('Open in the heatmap', 'rankscope.reveal', { path, name }),
  ].join('\n\n');
}

function unanalyzed(path: string, file: string, groups: readonly ModuleRanks[]): string {
  const names = groups.slice(0, 3).map(({ pattern }) => `\`${code(pattern)}\``);
  const more = groups.length > names.length ? ` and ${groups.length - names.length} more modules` : '';
  return [
    `${names.join(', ')}${more} in ${escaped(file)}: not analyzed yet.`,
    link('Analyze Weight Ranks', 'rankscope.analyze', { path }),
  ].join('\n\n');
}

/** `43.1 (40.2 to 47.9)`, or one value if all are the same when rounded. */
function ranks(range: Summary, digits: number): string {
  const text = ends(range, digits);
  return text.includes(' ') ? `${number(range.median, digits)} (${text})` : text;
}

function ends({ low, high }: Summary, digits: number): string {
  const [from, to] = [number(low, digits), number(high, digits)];
  return from === to ? from : `${from} to ${to}`;
}

/** The median of whole numbers may lie halfway between two of them. */
const number = (value: number, digits: number): string =>
  Number.isInteger(value) ? String(value) : value.toFixed(Math.max(digits, 1));

function sameShape(shapes: readonly string[]): string {
  const different = [...new Set(shapes)];
  return different.length > 3 ? `${different.length} shapes` : different.join(', ');
}

function link(text: string, command: (typeof HOVER_COMMANDS)[number], argument: unknown): string {
  // A parenthesis in a name would end the link.
  const query = encodeURIComponent(JSON.stringify([argument])).replace(/[()]/g, (sign) =>
    sign === '(' ? '%28' : '%29',
  );
  return `[${text}](command:${command}?${query})`;
}

// Checkpoints come from strangers: their names must not become links, images or table cells.
const escaped = (text: string): string => text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, '\\$&');
const code = (text: string): string => text.replace(/[`|\n\r]/g, '_');
