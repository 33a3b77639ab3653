import type { Outcome, Verdict } from './architecture.ts';
import type { Versions } from './sweep.ts';

/** A sweep with one version of transformers. */
export interface Swept extends Versions {
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

export function summary({ transformers, outcomes }: Swept): Summary {
  const of = (verdict: Verdict) => outcomes.filter((outcome) => outcome.verdict === verdict).length;
  const built = outcomes.length - of('cannot build');
  const run = outcomes.filter(({ verdict }) => !UNTRIED.includes(verdict)).length;
  const share = run === 0 ? 0 : of('equal') / run;
  const others = (['WRONG', 'half loaded', 'run error', 'refused', 'not written', 'harness'] as const)
    .filter((verdict) => of(verdict) > 0)
    .map((verdict) => `${of(verdict)} ${verdict}`);
  const sum = (count: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + count(outcome), 0);
  const text = [
    `transformers ${transformers}: ${outcomes.length} model types, ${built} built, ${run} run and saved.`,
    `Of these ${of('equal')} equal (${(100 * share).toFixed(1)} %)${others.map((each) => `, ${each}`).join('')}.`,
    `Planned: ${sum(({ planned = 0 }) => planned)} matrices; ${sum(({ replaced = 0 }) => replaced)} layers became low-rank,`,
    `${sum(({ kept = 0 }) => kept)} matrices are held as products by layers of other kinds;`,
    `${sum(({ suspects = [] }) => suspects.length)} embeddings, heads, routers, position tables or norms among them.`,
    `Spectra: ${sum(({ spectra = 0 }) => spectra)} compared with LAPACK in f64, ${sum(({ wrongSpectra = [] }) => wrongSpectra.length)} differ.`,
  ].join(' ');
  return { share, wrong: of('WRONG'), text };
}

/** The table of all versions in Markdown: what they sum up to, then a row for each model type. */
export function table(all: readonly Swept[]): string {
  const versions = all.toSorted((a, b) => b.transformers.localeCompare(a.transformers, 'en', { numeric: true }));
  const byType = versions.map(({ outcomes }) => new Map(outcomes.map((outcome) => [outcome.type, outcome])));
  const types = [...new Set(versions.flatMap(({ outcomes }) => outcomes.map(({ type }) => type)))].toSorted();
  const rows = types.map((type) => [type, ...byType.flatMap((outcomes) => cells(outcomes.get(type)))]);
  const head = ['model type', ...versions.flatMap(({ transformers: version }) => [version, 'layers'])];
  const faults = versions.flatMap(({ transformers, outcomes }) =>
    outcomes
      .filter(({ verdict }) => verdict !== 'equal')
      .map(({ type, verdict, reason = '' }) => `- ${transformers} ${type}: ${verdict}. ${escaped(reason)}`),
  );
  return `# Generated code on the architectures of transformers

\`npm run sweep\` makes a small model with random weights of every model type, saves it, plans rank 3 for all that is planned
by default, writes factors and code, loads them with the code into a new model, and compares all outputs and all weights
with those of the dense model in which each planned matrix is B A.

${versions.map((swept) => `**${swept.date}, torch ${swept.torch}.** ${summary(swept).text}`).join('\n\n')}

equal: outputs and weights agree to 1e-4. WRONG: they do not, and no error said so. refused: an error, and the model is as it
was. half loaded: an error, and the model is no longer as it was. The column of layers has the matrices that were planned, the
layers that became low-rank, and the matrices whose layers kept their own forward and hold the product. A number after it
counts embeddings, heads, routers, position tables and norms that were planned by default.

${[head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')}

## What is not equal, and why

${faults.join('\n')}
`;
}

function cells(outcome: Outcome | undefined): [string, string] {
  if (outcome === undefined) return ['', ''];
  const { verdict, planned, replaced = 0, kept = 0, suspects = [] } = outcome;
  const odd = suspects.length > 0 ? ` (${suspects.length})` : '';
  return [verdict, planned === undefined ? '' : `${planned}, ${replaced}, ${kept}${odd}`];
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll(/\s+/g, ' ').slice(0, 160);
}
