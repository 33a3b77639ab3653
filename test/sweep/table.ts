import type { Outcome, Verdict, Written } from './architecture.ts';
import type { Versions } from './sweep.ts';

/** A sweep with one version of transformers. */
export interface Swept extends Versions {
  readonly written: Written;
  readonly date: string;
  readonly outcomes: readonly Outcome[];
}

export interface Summary {
  /** Of those that can be run, the share that is equal. */
  readonly share: number;
  /** Architectures that give wrong results without an error. */
  readonly wrong: number;
  readonly text: string;
}

const UNTRIED: readonly Verdict[] = ['cannot build', 'cannot run', 'cannot save'];

export function summary({ transformers, written, outcomes }: Swept): Summary {
  const of = (verdict: Verdict) => outcomes.filter((outcome) => outcome.verdict === verdict).length;
  const built = outcomes.length - of('cannot build');
  const run = outcomes.filter(({ verdict }) => !UNTRIED.includes(verdict)).length;
  const share = run === 0 ? 0 : of('equal') / run;
  const others = (['WRONG', 'half loaded', 'run error', 'refused', 'not written', 'harness'] as const)
    .filter((verdict) => of(verdict) > 0)
    .map((verdict) => `${of(verdict)} ${verdict}`);
  const sum = (count: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + count(outcome), 0);
  const text = [
    `transformers ${transformers}, ${written === 'folder' ? 'model folders' : 'files with code'}: ${outcomes.length} model types, ${built} built, ${run} run and saved.`,
    `Of these ${of('equal')} equal (${(100 * share).toFixed(1)} %)${others.map((each) => `, ${each}`).join('')}.`,
    `Planned: ${sum(({ planned = 0 }) => planned)} matrices; ${sum(({ replaced = 0 }) => replaced)} layers became low-rank,`,
    ...(written === 'folder'
      ? [
          `${sum(({ kept = 0 }) => kept)} weights are computed of factors where code reads them.`,
          `Bytes on disk: ${sum(({ bytes = 0 }) => bytes)} of ${sum(({ bytesBefore = 0 }) => bytesBefore)}.`,
        ]
      : [
          `${sum(({ kept = 0 }) => kept)} matrices are held as products by layers of other kinds;`,
          `${sum(({ suspects = [] }) => suspects.length)} embeddings, heads, routers, position tables or norms among them.`,
          `Spectra: ${sum(({ spectra = 0 }) => spectra)} compared with LAPACK in f64, ${sum(({ wrongSpectra = [] }) => wrongSpectra.length)} differ.`,
        ]),
  ].join(' ');
  return { share, wrong: of('WRONG'), text };
}

/** The table of all versions in Markdown: what they sum up to, then a row for each model type. */
export function table(all: readonly Swept[]): string {
  const sweeps = all.toSorted(
    (a, b) =>
      b.transformers.localeCompare(a.transformers, 'en', { numeric: true }) || a.written.localeCompare(b.written, 'en'),
  );
  const byType = sweeps.map(({ written, outcomes }) => ({
    written,
    outcomes: new Map(outcomes.map((outcome) => [outcome.type, outcome])),
  }));
  const types = [...new Set(sweeps.flatMap(({ outcomes }) => outcomes.map(({ type }) => type)))].toSorted();
  const rows = types.map((type) => [
    type,
    ...byType.flatMap(({ written, outcomes }) => cells(outcomes.get(type), written)),
  ]);
  const head = [
    'model type',
    ...sweeps.flatMap(({ transformers, written }) =>
      written === 'folder' ? [`${transformers} folder`, 'bytes'] : [transformers, 'layers'],
    ),
  ];
  const faults = sweeps.flatMap(({ transformers, written, outcomes }) =>
    outcomes
      .filter(({ verdict }) => verdict !== 'equal')
      // The model itself is the same one: what cannot be built is told once.
      .filter(({ verdict }) => written === 'code' || !UNTRIED.includes(verdict))
      .map(
        ({ type, verdict, reason = '' }) =>
          `- ${transformers} ${type}${written === 'folder' ? ' folder' : ''}: ${verdict}. ${escaped(reason)}`,
      ),
  );
  return `# Generated code on the architectures of transformers

\`npm run sweep\` makes a small model with random weights of every model type, saves it, plans rank 3 for all that is planned
by default, writes factors and code, loads them with the code into a new model, and compares all outputs and all weights
with those of the dense model in which each planned matrix is B A. \`npm run sweep -- --folder\` plans 0.7 of the weights,
writes a model folder, opens it with \`from_pretrained\`, compares in the same way, and once more after \`save_pretrained\`.

${sweeps.map((swept) => `**${swept.date}, torch ${swept.torch}.** ${summary(swept).text}`).join('\n\n')}

equal: outputs and weights agree to 1e-4. WRONG: they do not, and no error said so. refused: an error, and the model is as it
was. half loaded: an error, and the model is no longer as it was. The column of layers has the matrices that were planned, the
layers that became low-rank, and the matrices whose layers kept their own forward and hold the product. A number after it
counts embeddings, heads, routers, position tables and norms that were planned by default. The column of bytes has the size of
the weights in the folder, and its share of the size before.

${[head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')}

## What is not equal, and why

${faults.join('\n')}
`;
}

function cells(outcome: Outcome | undefined, written: Written): [string, string] {
  if (outcome === undefined) return ['', ''];
  const { verdict, planned, replaced = 0, kept = 0, suspects = [], bytes, bytesBefore } = outcome;
  if (written === 'folder') {
    const share =
      bytes === undefined || bytesBefore === undefined ? '' : `${bytes}, ${(bytes / bytesBefore).toFixed(2)}`;
    return [verdict, share];
  }
  const odd = suspects.length > 0 ? ` (${suspects.length})` : '';
  return [verdict, planned === undefined ? '' : `${planned}, ${replaced}, ${kept}${odd}`];
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll(/\s+/g, ' ').slice(0, 160);
}
