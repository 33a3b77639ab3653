import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStatistics } from '../../../src/activations/openStatistics.ts';
import type { StatisticsEntry } from '../../../src/activations/statistics.ts';
import { pytorchNameOfGguf } from '../../../src/model/names/ggufNames.ts';
import { createService } from '../../../src/service/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { python } from '../formats/python.ts';
import { type Case, valuesOf, writeDecoder } from '../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const CONTEXT = 10;
/** Relative to the inputs' sizes, as logits are to the largest of them. */
const TOLERANCE = 1e-4;

/** X X^T of an entry, row-major. */
async function gramOf(entry: StatisticsEntry): Promise<{ n: number; gram: Float64Array }> {
  const r = new Float32Array(entry.length);
  await entry.read(0, r);
  const n = Math.sqrt(entry.length);
  const gram = new Float64Array(n * n);
  for (let k = 0; k < n; k++)
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) gram[i * n + j]! += r[k * n + i]! * r[k * n + j]!;
  return { n, gram };
}

function checkGram(own: Float64Array, right: (i: number, j: number) => number, n: number, name: string): void {
  // An input that is nearly zero is the difference of larger numbers.
  let mean = 0;
  for (let i = 0; i < n; i++) mean += right(i, i) / n;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const size = Math.sqrt(right(i, i) * right(j, j));
      const off = Math.abs(own[i * n + j]! - right(i, j));
      assert.ok(
        off <= TOLERANCE * (size + 0.01 * mean),
        `${name} [${i}, ${j}]: ${own[i * n + j]} instead of ${right(i, j)}`,
      );
    }
}

describe('calibration', () => {
  const service = createService({});
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-calibrate-'));
  });
  after(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  /** Writes the model, and the statistics of its ids in windows of ten. */
  async function calibrated(known: Case, name = known.kind.replaceAll(/\W+/g, '-')) {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    writeDecoder(path, known);
    const ids = join(path, 'ids.json');
    writeFileSync(ids, JSON.stringify(known.ids));
    const out = join(path, 'x.activations.safetensors');
    const report = await service.calibrate({
      path: join(path, 'model.safetensors'),
      ids,
      out,
      context: CONTEXT,
      engine: 'wasm',
      overwrite: true,
    });
    return { path, out, report };
  }

  /** The windows that `calibrated` makes of the ids. */
  function windowsOf(ids: readonly number[], start: number | null): number[][] {
    const front = start === null ? [] : [start];
    const [others, step] = [ids.slice(front.length), CONTEXT - front.length];
    return Array.from({ length: Math.floor(others.length / step) }, (_, k) => [
      ...front,
      ...others.slice(k * step, (k + 1) * step),
    ]);
  }

  async function withStatistics<Result>(
    out: string,
    use: (entries: ReadonlyMap<string, StatisticsEntry>) => Promise<Result>,
  ): Promise<Result> {
    const statistics = await openStatistics(out);
    try {
      return await use(new Map(statistics.entries.map((entry) => [entry.name, entry])));
    } finally {
      await statistics.close();
    }
  }

  it('sums the squares of what the first layer reads', async () => {
    const known = CASES.find(({ kind }) => kind === 'llama')!;
    const { out, report } = await calibrated(known);
    assert.equal(report.tokens, 2 * CONTEXT);
    const table = valuesOf(known.seed, 'model.embed_tokens.weight', known.tensors['model.embed_tokens.weight']!);
    const norm = valuesOf(known.seed, 'model.layers.0.input_layernorm.weight', [32]);
    // The norm of each embedding (Zhang and Sennrich, arXiv 1910.07467).
    const rows = windowsOf(known.ids, 1)
      .flat()
      .map((id) => {
        const row = table.slice(id * 32, (id + 1) * 32);
        const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / 32 + 1e-6);
        return row.map((value, i) => (value / size) * norm[i]!);
      });
    await withStatistics(out, async (entries) => {
      for (const part of ['q', 'k', 'v']) {
        const entry = entries.get(`model.layers.0.self_attn.${part}_proj.weight`)!;
        assert.equal(entry.tokens(0), 2 * CONTEXT);
        const { n, gram } = await gramOf(entry);
        checkGram(gram, (i, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0), n, entry.name);
      }
    });
  });

  it('lists every matrix of a block and the head, and counts the tokens of each expert', async () => {
    for (const known of CASES.filter(({ kind }) => ['gpt2', 'mixtral', 'phi3', 'qwen2_moe'].includes(kind))) {
      const { out, report } = await calibrated(known);
      const embedding = /embed_tokens|wte|wpe|shared_expert_gate/;
      const matrices = Object.entries(known.tensors).filter(
        ([name, shape]) => shape.length === 2 && !embedding.test(name),
      );
      await withStatistics(out, async (entries) => {
        const tied = [...entries.keys()].filter((name) => embedding.test(name));
        assert.deepEqual(
          [...entries.keys()].filter((name) => !tied.includes(name)).sort(),
          matrices.map(([name]) => name).sort(),
          known.kind,
        );
        assert.equal(report.matrices, entries.size);
        for (const layer of [0, 1]) {
          const experts = [...entries].filter(
            ([name]) => name.includes(`layers.${layer}.`) && /experts\.\d.*(w1|gate_)/.test(name),
          );
          const tokens = experts.map(([, entry]) => entry.tokens(0)!);
          if (tokens.length > 0)
            assert.equal(
              tokens.reduce((sum, count) => sum + count),
              2 * 2 * CONTEXT,
            );
        }
      });
    }
  });

  it('has the statistics that transformers sees with hooks, and W X of them, of every architecture', async function () {
    this.timeout(300_000);
    const made = [];
    for (const known of CASES) made.push({ known, ...(await calibrated(known)) });
    const script = readFileSync('test/python/layer_inputs.py', 'utf8');
    const models = made.map(({ known, path, report }) => ({
      folder: path,
      windows: windowsOf(known.ids, report.text.startToken),
    }));
    const modules = ['torch', 'transformers', 'safetensors'];
    const found = python(this, modules, script, JSON.stringify(models)) as Record<
      string,
      { tokens: number; gram: number[][]; values: number[] | null }
    >[];
    for (const [k, { known, path, out }] of made.entries()) {
      await withStatistics(out, async (entries) => {
        for (const [name, entry] of entries) {
          const { tokens, gram: right } = found[k]![hookNamed(name, found[k]!)]!;
          assert.equal(entry.tokens(0), tokens, `${known.kind}: ${name}`);
          const { n, gram } = await gramOf(entry);
          checkGram(gram, (i, j) => right[i]![j]!, n, `${known.kind}: ${name}`);
        }
      });
      const request = { path: join(path, 'model.safetensors'), engine: 'wasm', values: true };
      const { matrices } = await service.analyze({ ...request, activations: out });
      const measured = matrices.filter((finding) => finding.activations);
      assert.ok(measured.length >= Object.keys(found[k]!).length / 2, known.kind);
      for (const { name, activations } of measured) {
        const { values } = found[k]![hookNamed(name, found[k]!)]!;
        for (const [i, value] of (values ?? []).entries()) {
          const own = activations!.singularValues![i]!;
          assert.ok(
            Math.abs(own - value) < TOLERANCE * values![0]!,
            `${known.kind}: ${name} ${i}: ${own}, not ${value}`,
          );
        }
      }
    }
  });

  it('of a real model lets an analysis measure W X as torch does, of the same model in GGUF too', async function () {
    this.timeout(120_000);
    const [source, gguf] = ['stories260K-hf', 'stories260K-gguf/stories260K.F32.gguf'].map((name) =>
      checkpointPath(this, name),
    ) as [string, string];
    const path = join(folder, 'stories');
    mkdirSync(path);
    for (const name of ['model.safetensors', 'config.json', 'tok512.bin'])
      copyFileSync(join(source, name), join(path, name));
    const reference = JSON.parse(readFileSync(join(source, 'eval_reference.json'), 'utf8')) as {
      readonly eval: Readonly<Record<string, { readonly ids: readonly number[] }>>;
    };
    const ids = [1, ...Object.values(reference.eval).flatMap((text) => text.ids.slice(1))];
    const [model, idsFile] = [join(path, 'model.safetensors'), join(path, 'ids.json')];
    writeFileSync(idsFile, JSON.stringify(ids));
    const activations = join(folder, 'stories.activations.safetensors');
    const { text } = await service.calibrate({ path: model, ids: idsFile, out: activations, context: 100 });
    assert.equal(text.startToken, 1);
    const windows = Array.from({ length: text.windows }, (_, k) => [1, ...ids.slice(1 + k * 99, 1 + (k + 1) * 99)]);
    const script = readFileSync('test/python/layer_inputs.py', 'utf8');
    const models = JSON.stringify([{ folder: path, windows }]);
    const [found] = python(this, ['torch', 'transformers', 'safetensors'], script, models) as [
      Record<string, { tokens: number; values: number[] }>,
    ];
    for (const file of [model, gguf]) {
      const { matrices } = await service.analyze({ path: file, activations, values: true });
      const measured = matrices.flatMap(({ name, shape, activations: seen }) => {
        if (!seen) return [];
        const { tokens, values } = found[hookNamed(pytorchNameOfGguf(name) ?? name, found)]!;
        assert.equal(seen.tokens, tokens);
        // The root of X X^T in f64, and R in f32, each lose what is this small.
        for (const [i, value] of seen.singularValues!.entries())
          if (value > 1e-4 * values[0]!) assert.ok(Math.abs(value / values[i]! - 1) < 1e-3, `${name}: ${i}`);
        const energies = values.map((value) => value * value);
        const total = energies.reduce((sum, energy) => sum + energy);
        for (const [level, rank] of Object.entries(seen.energyRanks)) {
          const kept = (k: number) => energies.slice(0, k).reduce((sum, energy) => sum + energy, 0) / total;
          assert.ok(kept(rank) > Number(level) - 1e-5 && kept(rank - 1) < Number(level) + 1e-5, `${name} ${level}`);
        }
        return [name, shape[0] * shape[1]];
      });
      assert.equal(measured.length, 2 * 36);
    }
  });

  it('replaces no file unless it is told to, and never the model or the text', async () => {
    const known = CASES.find(({ kind }) => kind === 'llama')!;
    const { path, out } = await calibrated(known, 'targets');
    const request = { path: join(path, 'model.safetensors'), ids: join(path, 'ids.json'), context: CONTEXT };
    await assert.rejects(service.calibrate({ ...request, out }), { code: 'wrong-use' });
    for (const target of [request.path, request.ids])
      await assert.rejects(service.calibrate({ ...request, out: target, overwrite: true }), { code: 'wrong-use' });
  });

  it('leaves nothing behind when it is cancelled in the middle', async () => {
    const known = CASES.find(({ kind }) => kind === 'llama')!;
    const { path } = await calibrated(known, 'cancelled');
    const before = readdirSync(path);
    const cancel = new AbortController();
    const request = { path: join(path, 'model.safetensors'), ids: join(path, 'ids.json'), context: CONTEXT };
    const calibrating = service.calibrate(
      { ...request, out: join(path, 'y.activations.safetensors') },
      {
        signal: cancel.signal,
        progress: ({ done }) => {
          if (done > 0) cancel.abort();
        },
      },
    );
    await assert.rejects(calibrating, { code: 'cancelled' });
    assert.deepEqual(readdirSync(path), before);
  });

  it('refuses inputs that are not finite, with the layer', async () => {
    const known = CASES.find(({ kind }) => kind === 'llama')!;
    const path = join(folder, 'overflow');
    mkdirSync(path);
    writeDecoder(path, known, (name, shape) =>
      valuesOf(known.seed, name, shape).map((value) => (name.includes('v_proj') ? value * 3e38 : value)),
    );
    writeFileSync(join(path, 'ids.json'), JSON.stringify(known.ids));
    const request = { path: join(path, 'model.safetensors'), ids: join(path, 'ids.json'), context: CONTEXT };
    await assert.rejects(service.calibrate({ ...request, out: join(path, 'y.activations.safetensors') }), {
      code: 'not-finite',
      subject: /layers\.\d+\./,
    });
    assert.ok(!readdirSync(path).some((name) => name.includes('activations')));
  });
});

/** The name under which layer_inputs.py prints the inputs of a matrix. */
function hookNamed(matrix: string, found: Readonly<Record<string, unknown>>): string {
  const module = matrix.replace(/\.weight$/, '');
  if (module in found) return module;
  // An expert is a module of its own, or a slice of a stack.
  const expert =
    /layers\.(?<layer>\d+)\..*experts\.(?<number>\d+)\.(?<part>\w+)$/.exec(module)?.groups ??
    /layers\.(?<layer>\d+)\..*experts\.(?<part>\w+)\[(?<number>\d+)\]$/.exec(module)?.groups;
  const end = expert
    ? new RegExp(
        `layers\\.${expert.layer}\\..*experts\\.${expert.number}\\.${/w2|down/.test(expert.part!) ? 'down' : 'up'}$`,
      )
    : /block_sparse_moe\.gate$/.test(module)
      ? new RegExp(`layers\\.${/layers\.(\d+)/.exec(module)![1]}\\.mlp\\.gate$`)
      : /lm_head$|embed_out$/;
  const name = Object.keys(found).find((each) => end.test(each));
  assert.ok(name, `${matrix}: ${Object.keys(found).join(' ')}`);
  return name;
}
