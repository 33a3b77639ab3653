import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import type { Service } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';

const SAMPLE = resolve('test/fixtures/sample');
const TEXT = resolve('test/fixtures/texts/stories.txt');

describe('writing scripts for transformers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-write-script-'));
  let service: Service & { close(): Promise<void> };
  before(() => {
    service = createService({});
  });
  after(async () => {
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const write = async (name: string, request: Partial<Parameters<Service['script']>[0]> = {}) => {
    const code = join(folder, name);
    const report = await service.script({ path: SAMPLE, kind: 'evaluate', code, measure: { text: TEXT }, ...request });
    return { report, code: readFileSync(report.code, 'utf8') };
  };
  const planOfRank = (value: number) =>
    service.plan({ path: SAMPLE, request: { ...PLAN_DEFAULTS, budget: { kind: 'rank', value } } });

  it('keeps a script short that measures the model alone, without loader and decompositions', async () => {
    const { code, report } = await write('alone.evaluate.py');
    assert.equal(report.out, join(folder, 'alone.evaluation.json'));
    assert.ok(code.split('\n').length < 420, `${code.split('\n').length} lines`);
    assert.doesNotMatch(code, /load_lowrank|RANKS|\beigh\b/);
    assert.ok(code.includes(`\nMODEL = ${JSON.stringify(SAMPLE)}\n`));
    // Every name that is not imported is in the same text.
    assert.doesNotMatch(code, /^from \./m);
  });

  it('names the matrices of the layers for ranks, and those of each plan, also of two plans of one name', async () => {
    const plan = await planOfRank(5);
    const plans = [
      { name: 'one', plan },
      { name: 'one', plan },
    ];
    const { code } = await write('plans.py', {
      measure: { text: TEXT, ranks: [8], plans, context: 64, tokens: 128 },
    });
    assert.match(code, /^CONTEXT = 64\nTOKENS = 128\n/m);
    assert.match(code, /^RANKS = \[8\]$/m);
    const [, cut = ''] = /^CUT = \[\n([^\]]*)\]/m.exec(code) ?? [];
    assert.equal(cut.match(/layers\.\d+\./g)?.length, 6 * 7);
    assert.equal(code.match(/"name": "one"/g)?.length, 2);
  });

  it('names a file that transformers would not find, and the folder of one that it finds', async () => {
    const own = join(folder, 'named');
    mkdirSync(own);
    for (const [from, to] of [
      ['config.json', 'config.json'],
      ['model.safetensors', 'other.safetensors'],
    ] as const)
      cpSync(join(SAMPLE, from), join(own, to));
    const { code } = await write('named.py', { path: join(own, 'other.safetensors') });
    assert.ok(code.includes(`MODEL = ${JSON.stringify(join(own, 'other.safetensors'))}`));
    const { code: usual } = await write('usual.py', { path: join(SAMPLE, 'model.safetensors') });
    assert.ok(usual.includes(`MODEL = ${JSON.stringify(SAMPLE)}`));
  });

  it('names the folder of shards that have an index, and refuses them without one', async () => {
    const parts = [1, 2].map((part) => [`layers.${part}.q.weight`, `model-0000${part}-of-00002.safetensors`] as const);
    const shards = (name: string) => {
      const own = join(folder, name);
      mkdirSync(own);
      cpSync(join(SAMPLE, 'config.json'), join(own, 'config.json'));
      for (const [tensor, file] of parts)
        writeFileSync(join(own, file), f32File({ [tensor]: { shape: [2, 2], values: [1, 2, 3, 4] } }));
      return own;
    };
    await assert.rejects(write('bare.py', { path: shards('bare') }), /as parts of these with an index/);
    const own = shards('indexed');
    const index = join(own, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ weight_map: Object.fromEntries(parts) }));
    for (const [name, path] of Object.entries({ folder: own, index })) {
      const { code } = await write(`${name}.py`, { path });
      assert.ok(code.includes(`\nMODEL = ${JSON.stringify(own)}\n`));
    }
  });

  it('refuses what transformers cannot load, what would be replaced, and what is missing, with a remedy', async () => {
    const bare = join(folder, 'bare.safetensors');
    writeFileSync(bare, f32File({ 'layers.0.q.weight': { shape: [2, 2], values: [1, 2, 3, 4] } }));
    await write('once.py');
    await assert.rejects(write('once.py'), /once\.py.*there is a file of this name/s);
    await assert.rejects(write('a.py', { path: bare }), /bare\.safetensors.*no config\.json.*Put that of the model/s);
    await assert.rejects(write('b.py', { measure: {} }), /the text.*missing.*Name a text file/s);
    await assert.rejects(write('c.py', { code: TEXT, overwrite: true }), /stories\.txt.*this is the source itself/s);
    const plan = await planOfRank(5);
    const other = { ...plan, checkpoint: { ...plan.checkpoint, bytes: 1 } };
    const measure = { text: TEXT, plans: [{ name: 'other', plan: other }] };
    await assert.rejects(write('d.py', { measure }), /the plan is for .* with 1.*Make a new plan/s);
    const files = { text: TEXT, files: [folder] };
    await assert.rejects(write('d.py', { measure: files }), /it is a folder.*Name a file that was written/s);
  });

  it('refuses to collect statistics of a model that holds factors, and measures it with the loader', async () => {
    const factors = join(folder, 'factors');
    mkdirSync(factors);
    cpSync(join(SAMPLE, 'config.json'), join(factors, 'config.json'));
    await service.apply({ path: SAMPLE, plan: await planOfRank(5), out: join(factors, 'model.safetensors') });
    await assert.rejects(
      write('e.py', { path: factors, kind: 'calibrate' }),
      /holds factors.*the model that it was made from/s,
    );
    const { code } = await write('f.py', { path: factors });
    assert.ok(code.includes(`MODEL = ${JSON.stringify(join(factors, 'model.safetensors'))}`));
    assert.match(code, /def load_lowrank/);
  });

  it('names the matrices of the blocks for a compression by their types, with what a plan asks by default', async () => {
    const { code, report } = await write('g.compress.py', { kind: 'compress', measure: {}, compress: { keep: 0.7 } });
    assert.equal(report.out, join(folder, 'g.compressed.safetensors'));
    const [, cut] = /^CUT = (\{[^}]*\})$/m.exec(code)!;
    const [type, ...others] = Object.entries(
      JSON.parse(cut!.replaceAll(/,(\s*[\]}])/g, '$1')) as Record<string, string[]>,
    );
    assert.deepEqual(others, []);
    const names = type![1];
    assert.ok(names.length >= 8 && names.every((name) => /\.\d+\./.test(name)), names.join());
    assert.match(code, /^REQUEST = \{"spread": "loss", /m);
    assert.match(code, /^STEPS = 64$/m);
    assert.doesNotMatch(code, /^from \./m);
    for (const keep of [0, 1, Number.NaN])
      await assert.rejects(
        write('h.py', { kind: 'compress', measure: {}, compress: { keep } }),
        /Give a share between 0 and 1/,
      );
  });
});
