import { ENERGY_LEVELS } from '../base/energyLevels.ts';
import { baseName } from '../base/paths.ts';
import type { FindingInCode } from './codeCalls.ts';
import { depthPicture } from './depthPicture.ts';
import { type ModuleRanks, type Range, rangeOf } from './rankSummary.ts';

/** More lines than these are not read in a hover. */
const ROWS = 12;

/** The commands a hover links to; nothing else in it can be run. */
export const HOVER_COMMANDS = ['rankscope.analyze', 'rankscope.reveal', 'rankscope.setRank'] as const;

/** What is said about modules of one checkpoint, as Markdown. */
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
    ...(picture ? [`![Effective rank over the layers; dashed: break-even](${picture})`] : []),
    [
      link('Open in the heatmap', 'rankscope.reveal', { path, name: first?.name }),
      link('Set its rank', 'rankscope.setRank', { path, names: matrices.map(({ name }) => name) }),
    ].join(' · '),
  ].join('\n\n');
}

/** One column for each measure: a table that is as low as can be, so that the picture below it is seen too. */
function measuresTable(findings: readonly FindingInCode[]): string {
  const columns = [
    { title: 'effective', digits: 1, values: findings.map(({ effectiveRank }) => effectiveRank) },
    ...ENERGY_LEVELS.map((level) => ({
      title: `${Number(level) * 100} % energy`,
      digits: 0,
      values: findings.map(({ energyRanks }) => energyRanks[level]),
    })),
    { title: 'break-even', digits: 0, values: findings.map(({ breakEvenRank }) => breakEvenRank) },
  ].map(({ title, digits, values }) => ({ title, digits, range: rangeOf(values)! }));
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
  ].join('\n');
}

function severalModules(path: string, file: string, groups: readonly ModuleRanks[]): string {
  const rows = groups.slice(0, ROWS).map(({ pattern, findings }) => {
    const effective = rangeOf(findings.map(({ effectiveRank }) => effectiveRank));
    const energy = rangeOf(findings.map(({ energyRanks }) => energyRanks['0.95']));
    const breakEven = rangeOf(findings.map(({ breakEvenRank }) => breakEvenRank));
    const cells = [effective && ranks(effective, 1), energy && ranks(energy, 0), breakEven && ranks(breakEven, 0)];
    return `| \`${code(pattern)}\` | ${cells.map((cell) => cell ?? 'not yet').join(' | ')} |`;
  });
  const name = groups.find(({ findings }) => findings.length > 0)?.findings[0]?.name;
  return [
    `**${groups.length} modules** in ${escaped(file)}`,
    ['| module | effective rank | 95 % of the energy | break-even |', '|---|---|---|---|', ...rows].join('\n'),
    ...(groups.length > ROWS ? [`and ${groups.length - ROWS} more`] : []),
    link('Open in the heatmap', 'rankscope.reveal', { path, name }),
  ].join('\n\n');
}

function unanalyzed(path: string, file: string, groups: readonly ModuleRanks[]): string {
  const names = groups.slice(0, 3).map(({ pattern }) => `\`${code(pattern)}\``);
  const more = groups.length > names.length ? ` and ${groups.length - names.length} more modules` : '';
  return [
    `${names.join(', ')}${more} in ${escaped(file)}: ranks are not known yet.`,
    link('Analyze Weight Ranks', 'rankscope.analyze', { path }),
  ].join('\n\n');
}

/** `43.1 (40.2 to 47.9)`, or the one value where all are equal as written. */
function ranks(range: Range, digits: number): string {
  const text = ends(range, digits);
  return text.includes(' ') ? `${number(range.median, digits)} (${text})` : text;
}

function ends({ low, high }: Range, digits: number): string {
  const [from, to] = [number(low, digits), number(high, digits)];
  return from === to ? from : `${from} to ${to}`;
}

/** A median of whole numbers may lie between two of them. */
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

// A checkpoint is a stranger's file: its names must not become links, images or table cells.
const escaped = (text: string): string => text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, '\\$&');
const code = (text: string): string => text.replace(/[`|\n\r]/g, '_');
