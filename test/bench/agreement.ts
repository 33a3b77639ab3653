// RANKSCOPE_WEIGHTWATCHER=PYTHON npm run agreement
//
// Compares the measures of real checkpoints with WeightWatcher and diffract-core, which PYTHON must have, and writes
// AGREEMENT.md. Checkpoints are read from RANKSCOPE_CHECKPOINTS (default ../shared/checkpoints).
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/open.ts';
import { isStored } from '../../src/model/matrix.ts';
import { anatomy } from '../../src/model/names/anatomy.ts';
import type { StoredMatrix } from '../../src/model/storedMatrix.ts';
import { createService } from '../../src/service/service.ts';
import { type Dense, differenceOf, type OtherTools, runOtherTools, SHARED } from './otherTools.ts';

/** What is compared of each checkpoint; of a large one some matrices only, since the tools take a second for each. */
const CHECKPOINTS: readonly (readonly [file: string, only?: RegExp])[] = [
  ['retsim/model.safetensors'],
  ['stories260K-hf/model.safetensors'],
  ['rwkv-4v0-660K-untrained/rwkv-4v0-660K.safetensors'],
  ['silero-vad/silero_vad_16k.safetensors'],
  ['mtcnn-facenet-pytorch/onet.pt'],
  ['llama2xs-ckpt/ckpt.pt'],
  ['textgenrnn/textgenrnn_weights.hdf5'],
  ['magika/standard_v1.h5'],
  ['guesslang-tfjs/model.json'],
  ['smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf', /^blk\.(0|14|29)\./],
];
/** Where the text that people wrote begins and the tables end. */
const TABLES = '<!-- written by npm run agreement -->';

const python = process.env.RANKSCOPE_WEIGHTWATCHER;
if (!python) {
  process.stderr.write('RANKSCOPE_WEIGHTWATCHER must name a Python that has weightwatcher and diffract-core.\n');
  process.exit(1);
}
const root = resolve(process.env.RANKSCOPE_CHECKPOINTS ?? '../shared/checkpoints');
const folder = mkdtempSync(join(tmpdir(), 'rankscope-agreement-'));
const service = createService({});
const rows: string[][] = [];
let versions = '';
try {
  for (const [file, only] of CHECKPOINTS) {
    const path = join(root, file);
    if (!existsSync(path)) process.stderr.write(`missing: ${path}\n`);
    else rows.push([file.slice(0, file.indexOf('/')), ...(await compared(path, only))]);
    process.stderr.write(`${rows.at(-1)?.join(' | ')}\n`);
  }
} finally {
  await service.close();
  rmSync(folder, { recursive: true });
}
const target = new URL('./AGREEMENT.md', import.meta.url);
const text = existsSync(target) ? readFileSync(target, 'utf8').split(TABLES)[0]! : '';
writeFileSync(target, `${text}${TABLES}\n\n${versions}\n\n${tables()}`);

/** The number of matrices, then each shared measure: the largest difference and how many matrices have it. */
async function compared(path: string, only: RegExp | undefined): Promise<string[]> {
  const matrices = await denseMatrices(path, only);
  const names = matrices.map(({ name }) => name);
  const { matrices: found } = await service.analyze({ path, tensors: names, values: true, cache: false });
  const findings = new Map(found.map((finding) => [finding.name, finding]));
  const tools = runOtherTools(python!, matrices, join(folder, 'matrices.safetensors'));
  versions = versionsOf(tools);
  return [
    String(findings.size),
    ...SHARED.map(({ tool, values }) => {
      const pairs = [...findings].flatMap(([name, ours]) => {
        const theirs = tools[tool].matrices[name];
        return theirs ? [values(theirs, ours) ?? []].filter((pair) => pair.length > 0) : [];
      }) as (readonly [number, number])[];
      const largest = pairs.reduce((most, pair) => Math.max(most, differenceOf(pair)), 0);
      return pairs.length === 0 ? '–' : `${largest.toExponential(0)} (${pairs.length})`;
    }),
  ];
}

/** The matrices as the tools get them, [out, in] whatever the file has. */
async function denseMatrices(path: string, only: RegExp | undefined): Promise<Dense[]> {
  const checkpoint = await openCheckpoint(path);
  try {
    const chosen = anatomy(checkpoint.tensors).matrices.filter(isStored);
    const dense: Dense[] = [];
    for (const matrix of chosen) if (only?.test(matrix.name) ?? true) dense.push(await denseMatrix(matrix));
    return dense.filter(({ shape: [m, n] }) => Math.min(m, n) > 1);
  } finally {
    await checkpoint.close();
  }
}

async function denseMatrix(matrix: StoredMatrix): Promise<Dense> {
  const { name, rows: height, cols, transposed, shape } = matrix;
  const stored = new Float32Array(height * cols);
  const source = matrix.source();
  await source.read(0, stored, undefined);
  if (!transposed) return { name, shape, values: stored };
  const values = Float32Array.from(stored, (_, at) => stored[(at % height) * cols + Math.floor(at / height)]!);
  return { name, shape, values };
}

function versionsOf(tools: OtherTools): string {
  const names = Object.entries(tools).map(([name, { version }]) => `${name} ${version}`);
  return `Compared with ${names.join(' and ')}. Each cell has the largest difference, and in parentheses the number of
matrices for which both tools define the measure alike.`;
}

/** One table for each tool. */
function tables(): string {
  return (['WeightWatcher', 'diffract-core'] as const)
    .map((tool) => {
      const columns = SHARED.flatMap((measure, k) => (measure.tool === tool ? [k] : []));
      const head = ['checkpoint', 'matrices', ...columns.map((k) => SHARED[k]!.title)];
      const body = rows.map((row) => [row[0]!, row[1]!, ...columns.map((k) => row[2 + k]!)]);
      const lines = [head, head.map(() => '---'), ...body].map((row) => `| ${row.join(' | ')} |`);
      return `## ${tool}\n\n${lines.join('\n')}\n`;
    })
    .join('\n');
}
