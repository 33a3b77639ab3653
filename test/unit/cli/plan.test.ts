import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Plan } from '../../../src/model/plan/plan.ts';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { testFolder } from '../formats/folder.ts';
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
