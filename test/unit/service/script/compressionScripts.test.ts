import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { CompressionReport } from '../../../../src/model/compression.ts';
import { parsePlan } from '../../../../src/model/plan/parsePlan.ts';
import type { Service } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';

const PYTHON = process.env.RANKSCOPE_PYTHON;
const CONTEXT = 32;
const KEEP = 0.6;
/** Of those that the own network knows as well: tied, with transposed weights, with names that end in numbers. */
const KNOWN = ['llama', 'gpt2', 'opt'];
/** Refined by both. */
const REFINED = 'llama';
const STEPS = 16;

interface Answer {
  readonly error: string | null;
  readonly stderr: string;
  readonly perplexity: number;
  /** Names that the script defines twice. */
  readonly repeated: readonly string[];
  readonly unchanged: boolean;
  readonly refined: boolean;
  readonly names: readonly string[];
  readonly metadata: readonly string[];
  readonly products: number;
}

describe('scripts for transformers that compress', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-compress-script-'));
  const answers = new Map<string, Answer>();
  const own = new Map<string, CompressionReport>();
  let service: Service & { close(): Promise<void> };
  let kinds: string[] = [];
  const python = (...words: string[]): unknown =>
    JSON.parse(
      execFileSync(PYTHON!, [resolve('test/python/compression_scripts.py'), ...words], {
        encoding: 'utf8',
        env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' },
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 1 << 26,
      }),
    );
  const inFolder = (kind: string, file: string) => join(folder, kind, file);
  const reported = (kind: string, name = 'm.compressed') =>
    JSON.parse(readFileSync(inFolder(kind, `${name}.compression.json`), 'utf8')) as CompressionReport;
  const textOf = (kind: string) => ({ ids: inFolder(kind, 'ids.json'), context: CONTEXT });

  before(async function () {
    if (!PYTHON) {
      for (const test of this.currentTest?.parent?.tests ?? []) test.title += ' (RANKSCOPE_PYTHON names no Python)';
      return this.skip();
    }
    service = createService({});
    kinds = python('make', folder) as string[];
    const runs: [string, object][] = [];
    for (const kind of kinds) {
      const code = inFolder(kind, 'm.compress.py');
      const path = join(folder, kind);
      const { out } = await service.script({
        path,
        kind: 'compress',
        code,
        measure: textOf(kind),
        compress: { keep: KEEP, refine: false },
      });
      runs.push([kind, { kind, script: code, arguments: [], out, context: CONTEXT }]);
    }
    for (const kind of KNOWN) {
      const target = inFolder(kind, 'own.safetensors');
      const request = { path: join(folder, kind), ...textOf(kind), keep: KEEP, smokeTest: false };
      own.set(kind, await service.compress({ ...request, refine: false, out: target }));
      runs.push([`${kind} compared`, { one: inFolder(kind, 'm.compressed.safetensors'), other: target }]);
      if (kind !== REFINED) continue;
      const refined = inFolder(kind, 'own-refined.safetensors');
      own.set('refined', await service.compress({ ...request, steps: STEPS, out: refined }));
    }
    const script = inFolder(REFINED, 'm.compress.py');
    const again = (name: string, ...words: string[]) => {
      const out = inFolder(REFINED, `${name}.safetensors`);
      return { kind: REFINED, script, arguments: ['--out', out, ...words], out, context: CONTEXT };
    };
    runs.push(['refined', again('refined', '--steps', String(STEPS))]);
    runs.push(['evaluated', again('evaluated', '--evaluate', resolve('test/fixtures/texts/stories.txt'))]);
    runs.push(['stopped', { ...again('stopped'), interrupted: true }]);
    runs.push(['existing', { kind: REFINED, script, arguments: [], out: '', context: CONTEXT }]);
    runs.push(['share', again('share', '--keep', '1.5')]);
    runs.push(['short', again('short', '--context', '64', '--ids', inFolder(REFINED, 'config.json'))]);
    runs.push(['NaN', { script }]);
    const { code } = await service.script({
      path: join(folder, 'gpt2'),
      kind: 'compress',
      code: inFolder('gpt2', 'sampled.compress.py'),
      measure: { context: 16, tokens: 128 },
      compress: { keep: KEEP, refine: false },
    });
    const sampled = inFolder('gpt2', 'sampled.compressed.safetensors');
    runs.push(['sampled', { kind: 'gpt2', script: code, arguments: [], out: sampled, context: 16 }]);
    const found = python('run', folder, ...runs.map(([, run]) => JSON.stringify(run))) as Answer[];
    for (const [at, [name]] of runs.entries()) answers.set(name, found[at]!);
  });

  after(async () => {
    await service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const decoders = () => kinds.filter((kind) => kind !== 't5');
  const done = (name: string): Answer => {
    const answer = answers.get(name)!;
    assert.equal(answer.error ?? null, null, answer.stderr);
    return answer;
  };

  it('write a model of the asked size that has the reported perplexity in transformers, for any decoder', () => {
    assert.equal(decoders().length, 8);
    for (const kind of decoders()) {
      const { perplexity } = done(kind);
      const { size, unseen, matrices, source } = reported(kind);
      assert.equal(source, 'transformers');
      const { keptShare } = size.totals;
      assert.ok(keptShare <= KEEP && keptShare > KEEP - 0.01, `${kind}: ${keptShare}`);
      assert.ok(matrices.length >= 4, `${kind}: ${matrices.length} matrices`);
      const found = unseen!.compressed.perplexity;
      assert.ok(Math.abs(found / perplexity - 1) < 1e-4, `${kind}: ${found}, not ${perplexity}`);
      assert.ok(unseen!.compressed.divergence.mean > 0.01, `${kind}: nothing was lost, so the test sees nothing`);
    }
  });

  it('do what the own compression does: the same text, ranks, products, tensors and metadata', () => {
    for (const kind of KNOWN) {
      const [ours, theirs] = [own.get(kind)!, reported(kind)];
      assert.deepEqual(theirs.text, ours.text);
      assert.deepEqual(theirs.method, ours.method);
      assert.deepEqual(ranksOf(theirs), ranksOf(ours), kind);
      assertNear(theirs.unseen!.dense.perplexity, ours.unseen!.dense.perplexity, 1e-5, kind);
      assertNear(theirs.unseen!.compressed.perplexity, ours.unseen!.compressed.perplexity, 1e-4, kind);
      assertNear(theirs.unseen!.compressed.divergence.mean, ours.unseen!.compressed.divergence.mean, 1e-4, kind);
      assertNear(theirs.size.totals.error, ours.size.totals.error, 1e-4, kind);
      assert.equal(theirs.size.parametersAfter, ours.size.parametersAfter);
      const { names, metadata, products } = done(`${kind} compared`);
      assert.deepEqual(names, [], kind);
      // The own request leaves out by name what the script does not consider.
      assert.deepEqual(
        metadata.filter((key) => key !== 'rankscope.request'),
        [],
        kind,
      );
      assert.ok(products < 1e-3, `${kind}: ${products}`);
    }
  });

  it('refine blocks as the own compression does, each to a smaller error on held-out windows', () => {
    done('refined');
    const [ours, theirs] = [own.get('refined')!, reported(REFINED, 'refined')];
    for (const [at, { before, after, refined, losses }] of theirs.blocks.entries()) {
      assert.ok(refined && after! < before!, `block ${at + 1}: ${before} -> ${after}`);
      assert.equal(losses.length, STEPS);
      const block = ours.blocks[at]!;
      assertNear(before!, block.before!, 1e-3, `block ${at + 1} before`);
      assertNear(after!, block.after!, 1e-3, `block ${at + 1} after`);
    }
    assertNear(theirs.unseen!.compressed.perplexity, ours.unseen!.compressed.perplexity, 1e-3, 'perplexity');
    assertNear(done('refined').perplexity, theirs.unseen!.compressed.perplexity, 1e-4, 'perplexity in transformers');
  });

  it('write what the own network reads, with the perplexity that they report', async () => {
    for (const kind of ['llama', 'gpt2']) {
      const name = kind === REFINED ? 'refined' : 'm.compressed';
      const { unseen } = reported(kind, name);
      const file = inFolder(kind, `${name}.safetensors`);
      const { variants } = await service.evaluate({ path: join(folder, kind), ...textOf(kind), files: [file] });
      assert.equal(variants.length, 1);
      assert.ok(variants[0]!.perplexity > 1 && unseen!.scored > 0);
      assert.equal(variants[0]!.size.parametersOfModel, reported(kind, name).size.parametersAfter);
    }
  });

  it('write a plan that holds what was measured', () => {
    const { planFile, matrices } = reported('mamba');
    const plan = parsePlan(readFileSync(planFile, 'utf8'), planFile);
    assert.equal(plan.matrices.filter(({ rank }) => rank !== null).length, matrices.length);
    assert.equal(plan.request.spread, 'loss');
    const { divergences, matrices: measured } = plan.sensitivities!;
    assert.equal(divergences!.measured, measured.length);
    assert.ok(measured.every(({ divergence }) => divergence!.value > 0));
  });

  it('name the matrices that are no layers of their own, such as experts in one tensor', () => {
    const { notes } = reported('mixtral');
    assert.match(notes.join('\n'), /^24 matrices stay dense \(model\.layers\.0\..*experts in one tensor\.$/m);
    assert.deepEqual(reported('llama').notes, []);
  });

  it('leave a block as it was when a gradient is NaN, and say so', () => {
    const { error, unchanged, refined } = answers.get('NaN')!;
    assert.match(error!, /a gradient was not finite at step 1/);
    assert.deepEqual([unchanged, refined], [true, false]);
  });

  it('let the model write its own text where there is none, and say so', () => {
    done('sampled');
    const { text, notes } = reported('gpt2', 'sampled.compressed');
    assert.equal(text.name, null);
    assert.deepEqual([text.calibration.windows, text.heldOut.windows, text.unseen.windows], [8, 1, 4]);
    assert.match(notes.join('\n'), /the network wrote one itself/);
  });

  it('refuse models of another kind, existing results, wrong shares and texts without a tokenizer or windows', () => {
    assert.match(answers.get('t5')!.error!, /t5 is no language model that predicts the next token/);
    assert.match(answers.get('existing')!.error!, /m\.compressed\.safetensors: the file already exists/);
    assert.match(answers.get('share')!.error!, /--keep 1\.5: give a share between 0 and 1/);
    assert.match(answers.get('short')!.error!, /config\.json: not a list of token ids/);
    assert.match(answers.get('evaluated')!.error!, /transformers finds no tokenizer/);
  });

  it('leave nothing behind after Ctrl-C', () => {
    assert.equal(answers.get('stopped')!.error, '130');
    const left = kinds.flatMap((kind) => readdirSync(join(folder, kind)));
    assert.deepEqual(
      left.filter((name) => /partial|stopped|share|short/.test(name)),
      [],
    );
    assert.ok(!existsSync(inFolder('t5', 'm.compressed.safetensors')));
  });

  it('define every name once', () => {
    for (const kind of kinds) assert.deepEqual(answers.get(kind)!.repeated, [], kind);
  });
});

const ranksOf = ({ matrices }: CompressionReport) =>
  Object.fromEntries(matrices.map(({ name, rank }) => [name, rank]).toSorted());

function assertNear(found: number, expected: number, tolerance: number, place: string): void {
  assert.ok(Math.abs(found / expected - 1) <= tolerance, `${place}: ${found}, not ${expected}`);
}
