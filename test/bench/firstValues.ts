// Times the first values of a big model as a person waits for them: the engine process is started cold, without a
// cache, opens the checkpoint and analyzes it as the inspector does. `npm run build` must have been run.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../../src/base/random.ts';
import { groupKey } from '../../src/model/experts.ts';
import { startEngine } from '../../src/window/engine/engineProcess.ts';
import { DEEPSEEK_V3, expertModel } from '../fixtures/giants/models.ts';
import { type Described, writeSparseShards } from '../fixtures/giants/sparseShards.ts';

const STAGES = ['first', 'overview', 'previews', 'exact'] as const;
type Stage = (typeof STAGES)[number];

interface Reached {
  readonly seconds: number;
  /** Of the engine process; NaN where the system does not tell. */
  readonly processorSeconds: number;
  readonly values: number;
}

interface FirstValues {
  readonly matrices: number;
  readonly cells: number;
  /** From the start of the process until the directory is read. */
  readonly opened: number;
  readonly stages: ReadonlyMap<Stage, Reached>;
}

async function timeFirstValues(path: string, until: Stage): Promise<FirstValues> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const here = { execPath: process.execPath, env: {}, what: 'this Node' };
  const script = fileURLToPath(new URL('../../dist/engine.js', import.meta.url));
  const engine = await startEngine([here], {
    script,
    arguments: ['--no-cache', ...blasWords()],
    env: {},
    log: () => undefined,
  });
  const stages = new Map<Stage, Reached>();
  const abort = new AbortController();
  try {
    const { matrices } = await engine.service.open({ path, device: {} });
    const opened = seconds();
    const pending = {
      first: new Set(['']),
      overview: new Set(matrices.map(groupKey)),
      previews: new Set(matrices.map(({ name }) => name)),
      exact: new Set(matrices.map(({ name }) => name)),
    };
    const cells = pending.overview.size;
    const seen = new Set<string>();
    let values = 0;
    const reach = (stage: Stage, key: string) => {
      pending[stage].delete(key);
      if (pending[stage].size > 0 || stages.has(stage)) return;
      stages.set(stage, { seconds: seconds(), processorSeconds: processorSeconds(engine.pid), values });
      if (stage === until) abort.abort();
    };
    const progress: NonNullable<Parameters<typeof engine.service.analyze>[1]>['progress'] = ({ finding, skipped }) => {
      const name = finding?.name ?? skipped?.name;
      if (name === undefined) return;
      const isExact = skipped !== undefined || finding?.provenance === 'exact';
      if (finding) {
        values++;
        reach('first', '');
        reach('overview', groupKey(finding));
      }
      // A coarse value comes first, then the preview.
      if (isExact || seen.has(name)) reach('previews', name);
      if (isExact) reach('exact', name);
      seen.add(name);
    };
    const run = engine.service.analyze({ path, mode: 'both', listed: false }, { signal: abort.signal, progress });
    await run.catch((error: unknown) => {
      if (!abort.signal.aborted) throw error;
    });
    return { matrices: matrices.length, cells, opened, stages };
  } finally {
    engine.kill();
  }
}

/** The library that RANKSCOPE_BLAS names, or that of the Python that RANKSCOPE_PYTHON names. */
function blasWords({ RANKSCOPE_BLAS: path, RANKSCOPE_PYTHON: python } = process.env): string[] {
  return ['--trusted', ...(path ? [`--blas=${path}`] : []), ...(python ? [`--python=${python}`] : [])];
}

function processorSeconds(pid: number): number {
  try {
    // The two times are the 14th and 15th fields, in ticks of 10 ms; the name before them may contain spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}

function tableOf({ matrices, cells, opened, stages }: FirstValues): string {
  const rows = [...stages].map(
    ([stage, { seconds, processorSeconds: busy, values }]) =>
      `| ${TITLES[stage]} | ${seconds.toFixed(1)} | ${busy.toFixed(1)} | ${values} |`,
  );
  return [
    `${matrices} matrices in ${cells} cells of the overview; the directory was read after ${opened.toFixed(1)} s.`,
    '',
    '| from the start of a cold engine without a cache until | s | processor s | values so far |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

const TITLES: Readonly<Record<Stage, string>> = {
  first: 'the first cell has a value',
  overview: 'every cell of the overview has a value',
  previews: 'every matrix is previewed',
  exact: 'every matrix is exact',
};

/** 1.1 billion parameters in 156 matrices, in the sizes of TinyLlama. */
function smallLlama(): Described[] {
  const block = (layer: number) =>
    Object.entries({
      'self_attn.q_proj': [2048, 2048],
      'self_attn.k_proj': [256, 2048],
      'self_attn.v_proj': [256, 2048],
      'self_attn.o_proj': [2048, 2048],
      'mlp.gate_proj': [5632, 2048],
      'mlp.up_proj': [5632, 2048],
      'mlp.down_proj': [2048, 5632],
    }).map(([name, shape]) => ({ name: `model.layers.${layer}.${name}.weight`, shape, dtype: 'BF16' as const }));
  const ends = ['model.embed_tokens.weight', 'lm_head.weight'].map((name) => ({
    name,
    shape: [32000, 2048],
    dtype: 'BF16' as const,
  }));
  return [...ends, ...Array.from({ length: 22 }, (_, layer) => block(layer)).flat()];
}

/** Writes values that differ from row to row: windows, at random places, of one table of normal numbers in bf16. */
function writeFilled(folder: string, tensors: readonly Described[], shards: number): void {
  const random = seededRandom(1);
  const table = new Uint16Array(2 ** 20);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  for (let k = 0; k < table.length; k++) {
    float[0] = 0.02 * random.normal();
    table[k] = bits[0]! >>> 16;
  }
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  writeSparseShards(folder, tensors, shards, (name) => {
    const [rows = 0, cols = 0] = shapes.get(name) ?? [];
    const values = new Uint16Array(rows * cols);
    for (let row = 0; row < rows; row++) {
      const from = Math.floor(random.uniform() * (table.length - cols));
      values.set(table.subarray(from, from + cols), row * cols);
    }
    return new Uint8Array(values.buffer);
  });
}

/**
 * The times of one model as a table: `llama` (1.1 billion parameters, until all is exact), `experts` (671 billion,
 * until the overview is filled), or a path.
 */
export async function firstValues(
  model: string,
  folder: string,
  until: Stage = model === 'experts' ? 'overview' : 'exact',
): Promise<string> {
  const path = model === 'llama' || model === 'experts' ? join(folder, model) : model;
  if (model === 'llama') writeFilled(path, smallLlama(), 4);
  if (model === 'experts') writeSparseShards(path, expertModel(DEEPSEEK_V3), 163);
  return `${model}: ${tableOf(await timeFirstValues(path, until))}`;
}
