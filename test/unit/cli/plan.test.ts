import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Plan } from '../../../src/model/plan/plan.ts';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { testFolder } from '../formats/folder.ts';
import { type Case, writeDecoder } from '../network/decoders.ts';
import { noise, writeMatrices } from '../service/matrices.ts';
import { run } from './run.ts';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const ROUTER = 'model.layers.0.mlp.gate.weight';
const QUERY = 'model.layers.0.self_attn.q_proj.weight';
const EXPERTS = ['model.layers.0.mlp.experts.0.up_proj.weight', 'model.layers.0.mlp.experts.7.up_proj.weight'];
const TIED = new RegExp(`${EMBEDDING}.*${HEAD}|${HEAD}.*${EMBEDDING}`);

describe('rankscope plan, by default and with --include', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);
  const words = noise(96, 32, 1);
  const model = () =>
    writeMatrices(folder.path('model.safetensors'), {
      [EMBEDDING]: words,
      [HEAD]: words,
      [ROUTER]: noise(8, 32, 2),
      [QUERY]: noise(32, 32, 3),
      ...Object.fromEntries(EXPERTS.map((name, k) => [name, noise(48, 32, 4 + k)])),
    });
  const plan = async (...more: string[]) => {
    const { code, stdout, stderr } = await cli('plan', model(), '--keep', '0.6', '--json', ...more);
    assert.equal(code, 0, stderr);
    const made = JSON.parse(stdout) as Plan;
    const cut = made.matrices.filter(({ rank }) => rank !== null).map(({ name }) => name);
    return { made, cut, stderr };
  };

  it('cuts layers alone, and says nothing to standard error', async () => {
    const { made, cut, stderr } = await plan();
    assert.equal(stderr, '');
    assert.ok(cut.length > 0 && cut.every((name) => name === QUERY || EXPERTS.includes(name)), cut.join());
    const before = 32 * 32 + 2 * 48 * 32;
    const whole = before + 96 * 32 + 8 * 32;
    const { parametersBefore, parametersAfter, keptShare, keptShareOfModel } = made.totals;
    assert.equal(parametersBefore, before);
    assert.equal(keptShare, parametersAfter / before);
    assert.equal(keptShareOfModel, (whole - before + parametersAfter) / whole);
    assert.ok(keptShare <= 0.6);
  });

  it('prints the share of what may be cut, that of the whole model, and how to include the rest', async () => {
    const { stdout } = await cli('plan', model(), '--keep', '0.6');
    const share = /parameters that may be cut become [^ ]+ \((\d+\.\d) %\)/.exec(stdout);
    const ofModel = /The whole model keeps (\d+\.\d) %/.exec(stdout);
    assert.ok(Number(share?.[1]) <= 60, stdout);
    assert.ok(Number(ofModel?.[1]) > 75, stdout);
    assert.match(stdout, /Dense: 1, a router, dense by default/);
    assert.match(
      stdout,
      /Dense: 1, an? (embedding|head) that is an? (head|embedding) as well \(tied\), dense by default/,
    );
    assert.match(stdout, /--include/);
  });

  it('cuts kinds that are included, and warns on standard error that embedding and head are tied', async () => {
    const { made, cut, stderr } = await plan('--include', 'embedding,router');
    assert.deepEqual(made.request.include, ['embedding', 'router']);
    assert.ok(cut.includes(EMBEDDING) || cut.includes(HEAD), cut.join());
    assert.match(stderr, TIED);
    assert.match(made.notes?.join() ?? '', TIED);
    assert.equal(made.totals.parametersBefore, made.checkpoint.parameters);
    assert.equal(made.totals.keptShare, made.totals.keptShareOfModel);
  });

  it('includes matrices by name, and warns of a kind that does not exist', async () => {
    const { stderr, made } = await plan('--include', '*.gate.*', '--include', 'embeding');
    assert.match(stderr, /^rankscope: Nothing is included by "embeding"[^\n]*\n$/);
    const router = made.matrices.find(({ name }) => name === ROUTER)!;
    assert.doesNotMatch(router.reason ?? '', /dense by default/);
  });

  it('says in the report and in the generated code that a tied head was cut', async () => {
    const [file, out, code] = [folder.path('plan.json'), folder.path('out.safetensors'), folder.path('out.py')];
    await cli('plan', model(), '--keep', '0.5', '--include', 'head', '--out', file, '--force');
    const applied = await cli('apply', model(), '--plan', file, '--out', out, '--code', code, '--json', '--force');
    assert.equal(applied.code, 0, applied.stderr);
    assert.match((JSON.parse(applied.stdout) as ApplyReport).remarks?.join() ?? '', TIED);
    assert.match(readFileSync(code, 'utf8'), /Cutting the (embedding|head) .* also cuts the (head|embedding)/);
  });
});

describe('rankscope plan --spread loss', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), 'plan', ...words);
  const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
  const model = () => writeDecoder(folder.path('model'), CASES.find(({ kind }) => kind === 'llama')!);
  const ids = () => folder.write('wiki.json', JSON.stringify(Array.from({ length: 400 }, (_, i) => (i * i + 3) % 40)));

  it('measures on a text, writes what it measured, and plans another budget from it', async () => {
    const file = folder.path('plan.json');
    const words = ['--spread', 'loss', '--ids', ids(), '--context', '20', '--threads', '1'];
    const first = await cli(model(), '--keep', '0.8', ...words, '--out', file);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /Activations: wiki\.json, 400 tokens/);
    assert.match(first.stdout, /KL divergence: wiki\.json, 400 tokens; 14 matrices measured, \d+ s/);
    assert.match(first.stdout, /The whole model keeps/);
    assert.doesNotMatch(first.stderr, /weights alone/);
    const second = await cli(model(), '--keep', '0.6', '--from', file, '--json');
    assert.equal(second.code, 0, second.stderr);
    const made = JSON.parse(second.stdout) as Plan;
    assert.equal(made.request.spread, 'loss');
    assert.deepEqual(made.sensitivities, (JSON.parse(readFileSync(file, 'utf8')) as Plan).sensitivities);
    assert.ok(made.totals.keptShare <= 0.6);
  });

  it('says of a plan from the weights alone what such plans have done, and what to use', async () => {
    const { stderr } = await cli(model(), '--keep', '0.8');
    assert.match(stderr, /weights alone.*ruin.*--spread activations or --spread loss/);
  });

  it('refuses options that do not go together', async () => {
    for (const [words, pattern] of [
      [['--keep', '0.8', '--spread', 'uniform', '--ids', ids()], /--ids goes with --spread activations or loss/],
      [['--rank', '4', '--ids', ids()], /--ids has no use with --rank/],
      [['--keep', '0.8', '--spread', 'loss'], /no text on which the loss/],
      [['--keep', '0.8', '--spread', 'loss', '--floor', '2'], /--floor/],
    ] as const) {
      const { code, stderr } = await cli(model(), ...words);
      assert.notEqual(code, 0);
      assert.match(stderr, pattern);
    }
  });
});
