import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Evaluation } from '../../../../src/model/evaluation.ts';
import type { Service } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';

const PYTHON = process.env.RANKSCOPE_PYTHON;
const CONTEXT = 40;

interface Answer {
  readonly error: string | null;
  readonly stderr: string;
  readonly perplexity: number;
  /** The largest relative error of R^T R, compared with X X^T by hooks in f64. */
  readonly statistics: number;
  readonly lacking: readonly string[];
  readonly groups: readonly (readonly string[])[];
}

describe('scripts for transformers', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-script-'));
  const answers = new Map<string, Answer>();
  let service: Service & { close(): Promise<void> };
  let kinds: string[] = [];
  const odd = () => kinds.at(-1)!;
  const sample = join(folder, 'sample');
  const stories = resolve('test/fixtures/texts/stories.txt');
  const python = (...words: string[]): unknown =>
    JSON.parse(
      execFileSync(PYTHON!, [resolve('test/python/transformers_scripts.py'), ...words], {
        encoding: 'utf8',
        env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' },
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 1 << 26,
      }),
    );
  const ids = (kind: string) => join(folder, kind, 'ids.json');
  const measured = (kind: string) =>
    JSON.parse(readFileSync(join(folder, kind, 'm.evaluation.json'), 'utf8')) as Evaluation;
  const withFactors = () => join(folder, 'factors.safetensors');
  /** What our own pass is asked as well. */
  const measure = async (kind: string) => ({
    ids: ids(kind),
    context: CONTEXT,
    ranks: kind === 'mixtral' ? [6] : [6, 12],
    ...(['twins', 'stacks'].includes(kind) ? { plans: [{ name: 'both', plan: await halfPlan(kind) }] } : {}),
    ...(kind === 'llama'
      ? { plans: [{ name: 'half "of it"\n', plan: await halfPlan() }], files: [withFactors()] }
      : {}),
  });
  const halfPlan = (kind = 'llama') =>
    service.plan({
      path: join(folder, kind),
      request: {
        budget: { kind: 'keep', value: 0.5 },
        spread: 'optimal',
        multiple: 1,
        exclude: [],
        include: ['embedding'],
        overrides: {},
        factors: 3,
      },
    });

  before(async function () {
    if (!PYTHON) {
      for (const test of this.currentTest?.parent?.tests ?? []) test.title += ' (RANKSCOPE_PYTHON names no Python)';
      return this.skip();
    }
    service = createService({});
    kinds = python('make', folder) as string[];
    await service.apply({ path: join(folder, 'llama'), plan: await halfPlan(), out: withFactors() });
    const runs: [string, object][] = [];
    for (const kind of kinds) {
      const path = join(folder, kind);
      const code = join(path, 'm.evaluate.py');
      const { out } = await service.script({ path, kind: 'evaluate', code, measure: await measure(kind) });
      runs.push([`evaluate ${kind}`, { kind, script: code, arguments: ['--batch', '3'], out, context: CONTEXT }]);
      const collector = join(path, 'm.calibrate.py');
      const { out: statistics } = await service.script({
        path,
        kind: 'calibrate',
        code: collector,
        measure: { ids: ids(kind), context: CONTEXT },
      });
      runs.push([
        `calibrate ${kind}`,
        { kind, script: collector, arguments: ['--batch', '2'], out: statistics, context: CONTEXT },
      ]);
    }
    for (const name of ['model.safetensors', 'config.json', 'tokenizer.json'])
      cpSync(join('test/fixtures/sample', name), join(sample, name));
    const code = join(sample, 'm.evaluate.py');
    const measured = { text: stories, context: 64, tokens: 640, ranks: [24] };
    const { out: said } = await service.script({ path: sample, kind: 'evaluate', code, measure: measured });
    runs.push(['sample', { kind: 'sample', script: code, arguments: [], out: said, context: 64 }]);
    const [kind, script] = ['llama', join(folder, 'llama/m.evaluate.py')];
    const collected = { kind, script: join(folder, 'llama/m.calibrate.py'), context: CONTEXT };
    const passes = join(folder, 'passes.safetensors');
    const little = ['--force', '--out', passes, '--memory', '0.00003'];
    runs.push(['passes', { ...collected, out: passes, arguments: little }]);
    runs.push(['singular', { script: collected.script }]);
    const stopped = join(folder, 'stopped.safetensors');
    runs.push(['stopped', { ...collected, out: stopped, arguments: ['--out', stopped], interrupted: true }]);
    const again = { kind, script, context: CONTEXT, out: join(folder, 'none') };
    runs.push(['existing', { ...again, arguments: [] }]);
    runs.push(['other model', { ...again, arguments: ['--force', '--model', join(folder, 'phi')] }]);
    runs.push(['short', { ...again, arguments: ['--force', '--tokens', '8'] }]);
    const found = python('run', folder, ...runs.map(([, run]) => JSON.stringify(run))) as Answer[];
    for (const [at, [name]] of runs.entries()) answers.set(name, found[at]!);
  });

  after(async () => {
    await service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const sound = () => kinds.filter((kind) => kind !== 'broken');
  const done = (name: string): Answer => {
    const answer = answers.get(name)!;
    assert.equal(answer.error, null, answer.stderr);
    return answer;
  };

  it('measure the perplexity that transformers has on the same windows, for any architecture', () => {
    assert.equal(kinds.length, 9);
    for (const kind of sound()) {
      const { perplexity } = done(`evaluate ${kind}`);
      const { dense, text, source } = measured(kind);
      assert.equal(source, 'transformers');
      assert.deepEqual([text.tokens, text.windows, text.dropped, text.scored], [300, 7, 20, 7 * (CONTEXT - 1)]);
      assert.ok(Math.abs(dense.perplexity / perplexity - 1) < 1e-5, `${kind}: ${dense.perplexity}, not ${perplexity}`);
    }
  });

  it('say what the own forward pass says of ranks, plans, factorized files and experts', async () => {
    for (const kind of ['llama', 'gpt2', 'mixtral', 'stacks', 'twins']) {
      const own = await service.evaluate({ path: join(folder, kind), ...(await measure(kind)) });
      const theirs = measured(kind);
      assert.equal(own.variants.length, { llama: 4, gpt2: 2, mixtral: 1, stacks: 3, twins: 3 }[kind]);
      assertClose(theirs.dense, own.dense, kind);
      assertClose(theirs.variants, own.variants, kind);
      assert.deepEqual(theirs.checkpoint, own.checkpoint);
      assert.deepEqual(theirs.text, own.text);
      for (const { perplexity, difference } of own.variants)
        assert.ok(Math.abs(difference) > 0.01 && perplexity > 1, 'the variants change nothing: the test sees nothing');
    }
  });

  it('collect R with R^T R = X X^T for every linear layer, once for layers that read the same inputs', () => {
    for (const kind of sound()) {
      const { statistics, lacking } = done(`calibrate ${kind}`);
      assert.ok(statistics < 1e-6, `${kind}: ${statistics}`);
      assert.deepEqual(lacking, [], kind);
    }
    const { groups } = done('calibrate llama');
    const attention = ['q', 'k', 'v'].map((name) => `model.layers.0.self_attn.${name}_proj.weight`);
    assert.deepEqual(groups[0], attention);
    assert.deepEqual(groups.at(-1), ['model.embed_tokens.weight'], 'a tied head goes by the name in the file');
    const experts = done('calibrate mixtral').groups.filter((group) => group.some((name) => name.includes('experts')));
    assert.equal(experts.length, 2 * 4 * 2);
    assert.ok(
      experts.some((group) =>
        group.join(' ').endsWith('experts.3.w1.weight model.layers.1.block_sparse_moe.experts.3.w3.weight'),
      ),
    );
  });

  it('encode a text with the tokenizer of the model, as the own pass does', async () => {
    done('sample');
    const own = await service.evaluate({ path: sample, text: stories, context: 64, tokens: 640, ranks: [24] });
    const theirs = measured('sample');
    assert.equal(own.text.windows, 10);
    assert.deepEqual({ ...theirs.text, tokenizer: '' }, { ...own.text, tokenizer: '' });
    assertClose(theirs.dense, own.dense, 'sample');
    // The own decomposition of larger matrices is a sketch, whose error is within 1 % of the least.
    const [found, expected] = [theirs.variants[0]!.loss, own.variants[0]!.loss];
    assert.ok(Math.abs(found - expected) < 0.05, `${found}, not ${expected}`);
  });

  it('take several passes where the memory is short, with the same statistics', () => {
    const { statistics, lacking, groups, stderr } = done('passes');
    assert.ok(statistics < 1e-6, `${statistics}`);
    assert.deepEqual(lacking, []);
    assert.deepEqual(groups.flat().toSorted(), done('calibrate llama').groups.flat().toSorted());
    assert.match(stderr, /another pass/);
  });

  it('give R for inputs that are equal, zero or too few', () => {
    assert.ok(done('singular').statistics < 1e-12, `${done('singular').statistics}`);
  });

  it('refuse logits and inputs that are not finite', () => {
    assert.match(answers.get('evaluate broken')!.error!, /the model: a logit is not finite/);
    assert.match(answers.get('calibrate broken')!.error!, /model\.layers\.1\.mlp\.down_proj: an input is not finite/);
    assert.ok(!existsSync(join(folder, 'broken/m.activations.safetensors')));
  });

  it('write statistics that an analysis reads, of an architecture that is not known otherwise as well', async () => {
    for (const kind of ['falcon', 'mixtral', 'gpt2']) {
      const { matrices } = await service.analyze({
        path: join(folder, kind),
        activations: join(folder, kind, 'm.activations.safetensors'),
      });
      const seen = matrices.filter(({ activations }) => activations);
      assert.ok(seen.length >= 8, `${kind}: ${seen.length} of ${matrices.length}`);
    }
  });

  it('are what the refusal of an unknown architecture points to', async () => {
    await assert.rejects(service.evaluate({ path: join(folder, 'falcon'), ids: ids('falcon') }), /falcon.*--python/s);
  });

  it('run from folders with quotes, backslashes, line ends and characters that turn the direction of text', () => {
    assert.match(odd(), /["'\\\n\u202E😀]/u);
    done(`evaluate ${odd()}`);
    assert.equal(measured(odd()).checkpoint.path, join(folder, odd()));
    const code = readFileSync(join(folder, odd(), 'm.evaluate.py'), 'utf8');
    assert.ok(!/[\u202E]/u.test(code), 'a hidden character is written as it is');
  });

  it('leave nothing behind but the result, and nothing at all after Ctrl-C', () => {
    for (const place of [folder, ...kinds.map((kind) => join(folder, kind))])
      assert.deepEqual(
        readdirSync(place).filter((name) => /partial|tmp|stopped/.test(name)),
        [],
      );
    assert.equal(answers.get('stopped')!.error, '130');
    assert.match(answers.get('stopped')!.stderr, /interrupted/);
  });

  it('refuse to replace a result, another model, and a text shorter than a window', () => {
    assert.match(answers.get('existing')!.error!, /m\.evaluation\.json: the file already exists/);
    assert.match(
      answers.get('other model')!.error!,
      /it has no model\..*; this script was written for another checkpoint/,
    );
    assert.match(answers.get('short')!.error!, /fewer than/);
    assert.ok(!existsSync(join(folder, 'none')));
  });
});

/** Numbers to 4 digits, everything else equal. */
function assertClose(one: unknown, other: unknown, place: string): void {
  if (typeof one === 'number' && typeof other === 'number') {
    const difference = Math.abs(one - other);
    assert.ok(difference <= 1e-4 * Math.abs(other) + 1e-6, `${place}: ${one}, not ${other}`);
  } else if (typeof one === 'object' && one !== null && typeof other === 'object' && other !== null) {
    assert.deepEqual(Object.keys(one).toSorted(), Object.keys(other).toSorted(), place);
    for (const [key, value] of Object.entries(one))
      assertClose(value, (other as Record<string, unknown>)[key], `${place}.${key}`);
  } else assert.equal(one, other, place);
}
