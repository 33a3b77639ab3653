import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import type { Plan } from '../../../src/model/plan/plan.ts';
import { FIRST_REQUEST } from '../../../src/model/plan/planRequest.ts';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { testFolder } from '../formats/folder.ts';
import { ggufBytes, text } from '../formats/gguf/ggufBytes.ts';
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

  it('cuts layers alone, and says to standard error only that noise has no smaller form', async () => {
    const { made, cut, stderr } = await plan();
    assert.match(stderr, /^rankscope: Every matrix of this plan loses half of its norm or more[^\n]*\n$/);
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

  it('warns of an exclusion that matches nothing', async () => {
    const { stderr } = await plan('--exclude', '*.gate.*', '--exclude', '*.w_1');
    assert.match(stderr, /^rankscope: Nothing is excluded by "\*\.w_1": no matrix has such a name\.$/m);
    assert.doesNotMatch(stderr, /gate/);
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

/** The bytes of a safetensors file behind its header. */
function dataBytes(file: string): number {
  const bytes = readFileSync(file);
  return bytes.length - 8 - Number(bytes.readBigUInt64LE());
}

describe('the budgets, rules and curves of rankscope plan', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);
  const model = () =>
    writeMatrices(folder.path('model.safetensors'), {
      [EMBEDDING]: noise(96, 32, 1),
      [ROUTER]: noise(8, 32, 2),
      [QUERY]: noise(32, 32, 3),
      ...Object.fromEntries(EXPERTS.map((name, k) => [name, noise(48, 32, 4 + k)])),
    });
  const planned = async (...more: string[]) => {
    const { code, stdout, stderr } = await cli('plan', model(), '--json', '--threads', '1', ...more);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Plan;
  };

  it('asks for what the side bar asks for where nothing is said, and its help says what stays dense', async () => {
    assert.deepEqual((await planned()).request, FIRST_REQUEST);
    const { stdout } = await cli('plan', '--help');
    for (const kind of ['embeddings', 'heads', 'routers', 'position tables', 'norms', 'convolutional stems'])
      assert.match(stdout, new RegExp(`By default, [^.]*${kind}[^.]* stay dense`));
  });

  it('bounds the bytes of what a quantized file becomes, and shows its size beside that of the checkpoint', async () => {
    // Blocks of 32 values in Q8_0: a scale of 1 in F16, then whole numbers.
    const blocks = (count: number, seed: number) =>
      Buffer.concat(
        Array.from({ length: count }, (_, k) =>
          Buffer.concat([Buffer.from([0, 0x3c]), Buffer.from(noise(1, 32, 100 * seed + k).values.map((x) => x * 40))]),
        ),
      );
    const tensors = ['ffn_up', 'ffn_down', 'ffn_gate'].map((module, k) => ({
      name: `blk.0.${module}.weight`,
      dimensions: [64, 64],
      type: 8,
      data: blocks(128, k),
    }));
    const metadata = [['general.architecture', 8, text('llama')]] as const;
    const source = folder.write('q8.gguf', ggufBytes({ metadata, tensors }));
    const [file, out] = [folder.path('q8.json'), folder.path('q8.safetensors')];
    const { code, stdout, stderr } = await cli('plan', source, '--bytes', '16kB', '--out', file, '--force');
    assert.equal(code, 0, stderr);
    const { totals, checkpoint } = JSON.parse(readFileSync(file, 'utf8')) as Plan;
    assert.equal(checkpoint.bytes, statSync(source).size);
    const applied = await cli('apply', source, '--plan', file, '--out', out, '--force', '--no-smoke-test');
    assert.equal(applied.code, 0, applied.stderr);
    const { size } = statSync(out);
    assert.ok(size <= 16_000 && totals.bytesOfModel! >= size, `${size}, ${totals.bytesOfModel}`);
    assert.equal(dataBytes(out), totals.bytesAfter, 'all of the model may be cut');
    assert.match(stdout, /As a file of its own: about 1[\d.]+ KB, the checkpoint has 13[.\d]* KB/);
  });

  it('bounds multiply-adds, in which a table of embeddings has no part', async () => {
    const { totals, request } = await planned('--multiply-adds', '3K');
    assert.equal(request.budget.value, 3000);
    assert.equal(totals.multiplyAddsBefore, 8 * 32 + 32 * 32 + 2 * 48 * 32);
    assert.ok(totals.multiplyAddsAfter! <= 3000);
  });

  it('counts a compression ratio as tutorials do, and says what that is', async () => {
    const { matrices, notes = [] } = await planned('--compression-ratio', '0.4');
    // floor(0.4 * 32) = 12 is below break-even for 32 x 32 (16) and 48 x 32 (19).
    assert.deepEqual(new Set(matrices.map(({ rank }) => rank)), new Set([null, 12]));
    assert.match(notes.join(), /compress_model_svd.*the rank 0\.4 min\(m, n\)/);
  });

  it('takes rules, and refuses what is none', async () => {
    const { matrices, request } = await planned('--rule', '*.experts.*: rank 5, multiple 2', '--rule', '*.7.*: dense');
    assert.deepEqual(request.rules, [
      { match: '*.experts.*', rank: 5, multiple: 2 },
      { match: '*.7.*', rank: null },
    ]);
    const rankOf = (name: string) => matrices.find((matrix) => matrix.name === name)!.rank;
    assert.deepEqual(EXPERTS.map(rankOf), [5, null]);
    for (const [rule, pattern] of [
      ['*: rang 5', /'rang 5' is no setting; expected 'GLOB: SETTINGS'/],
      ['rank 5', /expected 'GLOB: SETTINGS'/],
      ['*: rank 5, keep 0.5', /sets a rank in several ways/],
    ] as const) {
      const { code, stderr } = await cli('plan', model(), '--rule', rule);
      assert.notEqual(code, 0);
      assert.match(stderr, pattern);
    }
  });

  it('writes error against size, with the place of the plan', async () => {
    const file = folder.path('curves.csv');
    const { totals } = await planned('--keep', '0.5', '--curves', file, '--force');
    const [head, ...rows] = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(','));
    const at = (row: readonly string[], name: string) => Number(row[head!.indexOf(name)]);
    const point = rows.find(([measure, curve]) => measure === 'weights' && curve === 'plan')!;
    assert.equal(at(point, 'value'), totals.error);
    const best = rows.filter(([, curve]) => curve === 'best');
    assert.equal(at(best[0]!, 'keptShare'), 1);
    const values = best.map((row) => at(row, 'value'));
    assert.deepEqual(
      values,
      [...values].sort((a, b) => a - b),
    );
    assert.ok(best.length > 10);
  });

  it('refuses the plan of another checkpoint with the differences listed', async () => {
    const file = folder.path('plan.json');
    await planned('--out', file, '--force');
    const other = writeMatrices(folder.path('other.safetensors'), {
      [QUERY]: noise(32, 16, 3),
      'model.layers.1.self_attn.q_proj.weight': noise(32, 32, 3),
    });
    const { code, stderr } = await cli('apply', other, '--plan', file, '--out', folder.path('no.safetensors'));
    assert.equal(code, 2);
    for (const part of [
      /it has [\d,]+ bytes, the plan is for .*model\.safetensors with [\d,]+/,
      new RegExp(`${QUERY} is 32 x 16, in the plan 32 x 32`),
      new RegExp(`it has no ${EMBEDDING}`),
      /the plan has no model\.layers\.1\.self_attn\.q_proj\.weight/,
    ])
      assert.match(stderr, part);
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
