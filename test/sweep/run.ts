// Tries generated code on every architecture of transformers: `npm run sweep [-- WORD...]`, with RANKSCOPE_PYTHON
// naming the interpreter. With words, only the model types that match one of these regular expressions are tried, and
// their outcomes take the place of earlier ones. With --folder, model folders are tried in place of files with code: a
// plan at 0.7, from_pretrained, save_pretrained and from_pretrained again; their outcomes are printed alone.
//
// The outcomes of each version of transformers are kept in test-output/sweep; test/bench/ARCHITECTURES.md is made of
// all that are there. Exit code 1 if an architecture is wrong in silence, or fewer than 97 % are equal.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome } from './architecture.ts';
import { modelTypes, sweep } from './sweep.ts';
import { type Swept, summary, table } from './table.ts';

const OUTPUT = 'test-output/sweep';
const TABLE = 'test/bench/ARCHITECTURES.md';
const LEAST = 0.97;

const python = process.env.RANKSCOPE_PYTHON;
if (!python) {
  console.error('RANKSCOPE_PYTHON names no Python: npm run reference prints one.');
  process.exit(2);
}
const isFolder = process.argv.includes('--folder');
const words = process.argv.slice(2).filter((word) => word !== '--folder');
const { types, ...versions } = await modelTypes(python);
const chosen = words.length === 0 ? types : types.filter((type) => words.some((word) => new RegExp(word).test(type)));
console.log(`${chosen.length} model types, transformers ${versions.transformers}`);
const outcomes = await sweep(
  python,
  chosen,
  (outcome, done) => console.log(`${done}/${chosen.length} ${line(outcome)}`),
  isFolder ? 'folder' : 'code',
);
if (isFolder) {
  const { text, share, wrong } = summary({ ...versions, date: '', outcomes });
  console.log(`\n${text}`);
  process.exit(wrong === 0 && share >= LEAST ? 0 : 1);
}
const file = join(OUTPUT, `${versions.transformers}.json`);
const earlier = words.length > 0 && existsSync(file) ? read(file).outcomes : [];
const tried = new Set(chosen);
const swept: Swept = {
  ...versions,
  date: new Date().toISOString().slice(0, 10),
  outcomes: [...earlier.filter(({ type }) => !tried.has(type)), ...outcomes],
};
const found = summary(swept);
console.log(`\n${found.text}`);
mkdirSync(OUTPUT, { recursive: true });
writeFileSync(file, JSON.stringify(swept, null, 1));
writeFileSync(TABLE, table(all()));
console.log(`Written to ${TABLE}`);
process.exit(found.wrong === 0 && found.share >= LEAST ? 0 : 1);

function all(): Swept[] {
  return readdirSync(OUTPUT)
    .filter((name) => name.endsWith('.json'))
    .map((name) => read(join(OUTPUT, name)));
}

function read(path: string): Swept {
  return JSON.parse(readFileSync(path, 'utf8')) as Swept;
}

function line({
  type,
  class: name,
  verdict,
  reason,
  planned,
  replaced,
  kept,
  suspects = [],
  seconds,
}: Outcome): string {
  const layers = planned === undefined ? '' : ` ${planned} planned, ${replaced ?? 0} low-rank, ${kept ?? 0} kept`;
  const odd = suspects.length > 0 ? ` [${suspects.length} planned that should be dense: ${suspects[0]}]` : '';
  return `${type} ${name ?? ''}: ${verdict}${layers}${odd}${reason ? ` (${reason})` : ''} ${seconds} s`;
}
