// Tries generated code on every architecture of transformers: `npm run sweep [-- WORD...]`, with RANKSCOPE_PYTHON
// naming the interpreter. With words, only the model types that match one of these regular expressions are tried, and
// their outcomes take the place of earlier ones. With --folder, model folders are tried in place of files with code: a
// plan at 0.7, from_pretrained, save_pretrained and from_pretrained again. With --one, one type at a time is tried, for
// a machine that others use as well.
//
// The outcomes of each version of transformers are kept in test-output/sweep; test/bench/ARCHITECTURES.md is made of
// all that are there. Exit code 1 if an architecture is wrong in silence, or fewer than 97 % are equal.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome, Written } from './architecture.ts';
import { known, sweep } from './sweep.ts';
import { type Swept, summary, table } from './table.ts';

const OUTPUT = 'test-output/sweep';
const TABLE = 'test/bench/ARCHITECTURES.md';
const LEAST = 0.97;

const python = process.env.RANKSCOPE_PYTHON;
if (!python) {
  console.error('RANKSCOPE_PYTHON names no Python: npm run reference prints one.');
  process.exit(2);
}
const written: Written = process.argv.includes('--folder') ? 'folder' : 'code';
const lanes = process.argv.includes('--one') ? 1 : 2;
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const { types, transformers, torch } = await known(python);
const versions = { transformers, torch };
const chosen = words.length === 0 ? types : types.filter((type) => words.some((word) => new RegExp(word).test(type)));
console.log(`${chosen.length} model types, transformers ${versions.transformers}`);
const file = join(OUTPUT, `${versions.transformers}${written === 'folder' ? '-folder' : ''}.json`);
const earlier = words.length > 0 && existsSync(file) ? read(file).outcomes : [];
mkdirSync(OUTPUT, { recursive: true });
const done: Outcome[] = [];
// Kept as they come: a sweep that is stopped goes on with the words of what is left.
const report = (outcome: Outcome) => {
  done.push(outcome);
  keep(done);
  console.log(`${done.length}/${chosen.length} ${line(outcome)}`);
};
const swept = keep(await sweep(python, chosen, report, written, lanes));
const found = summary(swept);
console.log(`\n${found.text}`);
writeFileSync(TABLE, table(all()));
console.log(`Written to ${TABLE}`);
process.exit(found.wrong === 0 && found.share >= LEAST ? 0 : 1);

/** Writes the outcomes so far, with those of earlier runs for other types. */
function keep(outcomes: readonly Outcome[]): Swept {
  const tried = new Set(outcomes.map(({ type }) => type));
  const swept: Swept = {
    ...versions,
    written,
    date: new Date().toISOString().slice(0, 10),
    outcomes: [...earlier.filter(({ type }) => !tried.has(type)), ...outcomes],
  };
  writeFileSync(file, JSON.stringify(swept, null, 1));
  return swept;
}

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
