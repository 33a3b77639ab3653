import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import type { ApplyRequest } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { readAll, withCheckpoint } from '../../formats/readAll.ts';
import { f32 } from '../../formats/storedFile.ts';
import { CONFIGURATION, smallModel } from './smallModel.ts';

const ENGINE = { engine: 'cpu', threads: 1 } as const;

describe('a plan applied to a model folder', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  async function planned(path: string, overrides: Readonly<Record<string, number>> = {}) {
    const request = { ...PLAN_DEFAULTS, overrides, budget: { kind: 'keep', value: 0.7 } } as const;
    return service.plan({ path, request, ...ENGINE });
  }

  async function requestFor(path: string, more: Partial<ApplyRequest> = {}): Promise<ApplyRequest> {
    const plan = await planned(path);
    return { path, plan, out: folder.path('out'), form: 'folder', smokeTest: false, ...ENGINE, ...more };
  }

  const contents = (path: string) =>
    Object.fromEntries(
      readdirSync(path)
        .sort()
        .map((name) => [name, readFileSync(join(path, name))]),
    );

  it('holds the weights in shards with an index, the configuration with the ranks, and what the model comes with', async () => {
    const source = smallModel(folder.path('source'));
    const request = await requestFor(source, { shardSize: 12_000 });
    const estimate = await service.estimateApply(request);
    const report = await service.apply(request);

    const index = JSON.parse(readFileSync(folder.path('out/model.safetensors.index.json'), 'utf8')) as {
      metadata: { total_size: number };
      weight_map: Record<string, string>;
    };
    const shards = readdirSync(folder.path('out')).filter((name) => name.endsWith('.safetensors'));
    assert.ok(shards.length > 2);
    assert.deepEqual(report.folder!.shards, shards.sort());
    assert.deepEqual([...new Set(Object.values(index.weight_map))].sort(), shards);
    const sizes = shards.map((name) => statSync(folder.path(`out/${name}`)).size);
    assert.equal(
      report.bytesAfter,
      sizes.reduce((a, b) => a + b),
    );
    assert.equal(estimate.bytesAfter, report.bytesAfter);
    assert.ok(report.bytesAfter < report.bytesBefore);

    assert.deepEqual(report.folder!.carried, ['LICENSE.txt', 'generation_config.json', 'tokenizer.json']);
    assert.deepEqual(report.folder!.left, ['README.md', 'training_args.bin']);
    for (const name of report.folder!.carried)
      assert.deepEqual(readFileSync(folder.path(`out/${name}`)), readFileSync(join(source, name)));
    const text = readFileSync(folder.path('out/config.json'), 'utf8');
    const configuration = JSON.parse(text) as Record<string, unknown>;
    assert.match(text, /"rope_theta": 10000\.0,/);
    const ranks = Object.fromEntries(report.matrices.map(({ name, rank }) => [name, rank]));
    assert.deepEqual(configuration.rankscope, { format: 'rankscope.folder/1', factors: 2, ranks });
    assert.deepEqual(configuration.architectures, ['LowRankLlamaForCausalLM']);
    const { AutoModel, ...tasks } = configuration.auto_map as Record<string, string>;
    assert.equal(AutoModel, 'modeling_lowrank.LowRankBase');
    assert.equal(Object.keys(tasks)[0], 'AutoModelForCausalLM');
    assert.deepEqual([...new Set(Object.values(tasks))], ['modeling_lowrank.LowRankLlamaForCausalLM']);
    assert.ok(existsSync(folder.path('out/modeling_lowrank.py')));
    assert.ok(!existsSync(folder.path('out.rankscope-partial')));

    const dense = await withCheckpoint(source, readAll);
    const written = await withCheckpoint(folder.path('out'), readAll);
    for (const [name, values] of Object.entries(dense)) {
      const stem = name.replace(/\.weight$/, '');
      const rank = ranks[name];
      if (rank === undefined) assert.deepEqual(written[name], values, name);
      else assert.equal(written[`${stem}.lowrank_a.weight`]!.length % rank, 0, name);
    }
  });

  it('measures what the factors in the file lose', async () => {
    const source = smallModel(folder.path('source'));
    const report = await service.apply(await requestFor(source));
    const dense = await withCheckpoint(source, readAll);
    const written = await withCheckpoint(folder.path('out'), readAll);
    for (const { name, rank, measuredError, predictedError } of report.matrices) {
      const stem = name.replace(/\.weight$/, '');
      const [w, a, b] = [dense[name]!, written[`${stem}.lowrank_a.weight`]!, written[`${stem}.lowrank_b.weight`]!];
      const columns = a.length / rank;
      let [lost, whole] = [0, 0];
      for (const [at, value] of w.entries()) {
        let product = 0;
        for (let k = 0; k < rank; k++)
          product += b[Math.floor(at / columns) * rank + k]! * a[k * columns + (at % columns)]!;
        lost += (value - product) ** 2;
        whole += value ** 2;
      }
      assert.ok(Math.abs(measuredError - Math.sqrt(lost / whole)) < 1e-6, name);
      assert.ok(Math.abs(measuredError - predictedError) < 1e-5, name);
    }
  });

  it('goes on behind the last matrix of a run that was stopped, with the same bytes as without a stop', async () => {
    const source = smallModel(folder.path('source'));
    const request = await requestFor(source, { shardSize: 20_000 });
    await service.apply({ ...request, out: folder.path('whole') });
    const stop = new AbortController();
    const stopped = service.apply(request, {
      signal: stop.signal,
      progress: ({ done }) => done === 12 && stop.abort(),
    });
    await assert.rejects(stopped, { code: 'cancelled' });
    assert.ok(!existsSync(request.out));
    // As a kill leaves it: half a tensor behind the last one in the journal, and half a line of the journal.
    const partial = `${request.out}.rankscope-partial`;
    const last = readdirSync(join(partial, 'result')).sort().at(-1)!;
    appendFileSync(join(partial, 'result', last), new Uint8Array(500));
    appendFileSync(join(partial, 'journal.jsonl'), '{"shard":"model-0');
    const report = await service.apply(request);
    assert.ok(report.folder!.resumedTensors >= 12, String(report.folder!.resumedTensors));
    assert.deepEqual(contents(request.out), contents(folder.path('whole')));
    assert.ok(report.matrices.every(({ measuredError }) => measuredError > 0));
    assert.ok(!existsSync(partial));
  });

  it('computes again what was damaged since the earlier run', async () => {
    const source = smallModel(folder.path('source'));
    const request = await requestFor(source);
    await service.apply({ ...request, out: folder.path('whole') });
    const stop = new AbortController();
    await assert.rejects(
      service.apply(request, { signal: stop.signal, progress: ({ done }) => done === 9 && stop.abort() }),
    );
    const file = join(`${request.out}.rankscope-partial`, 'result/model.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 2]! ^= 1;
    writeFileSync(file, bytes);
    const report = await service.apply(request);
    assert.equal(report.folder!.resumedTensors, 8);
    assert.deepEqual(contents(request.out), contents(folder.path('whole')));
    truncateSync(join(request.out, 'model.safetensors'), 100);
  });

  it('refuses what it would destroy: another folder, its source, an unfinished result of other work', async () => {
    const source = smallModel(folder.path('source'));
    const request = await requestFor(source);
    mkdirSync(request.out);
    writeFileSync(join(request.out, 'thesis.tex'), 'years of work');
    await assert.rejects(service.apply(request), /out: it exists/);
    await assert.rejects(service.apply({ ...request, overwrite: true }), /it holds something else/);
    assert.deepEqual(readdirSync(request.out), ['thesis.tex']);
    await assert.rejects(service.apply({ ...request, out: source, overwrite: true }), /the folder of the source/);
    const noted = folder.path('noted');
    await service.apply({ ...request, out: noted });
    writeFileSync(join(noted, 'notes.txt'), 'what the ranks were chosen for');
    await assert.rejects(service.apply({ ...request, out: noted, overwrite: true }), /it also holds notes\.txt/);
    assert.equal(readFileSync(join(noted, 'notes.txt'), 'utf8'), 'what the ranks were chosen for');
    rmSync(join(noted, 'notes.txt'));
    await service.apply({ ...request, out: noted, overwrite: true });

    const out = folder.path('other');
    const stop = new AbortController();
    const progress = ({ done }: { done: number }) => done === 9 && stop.abort();
    await assert.rejects(service.apply({ ...request, out }, { signal: stop.signal, progress }));
    await assert.rejects(
      service.apply({ ...request, out, dtype: 'BF16' }),
      /unfinished result of other work \(another type\)/,
    );
    await service.apply({ ...request, out, dtype: 'BF16', overwrite: true });
    const report = await service.apply({ ...request, out, overwrite: true });
    assert.equal(report.folder!.resumedTensors, 0);
    assert.deepEqual(readdirSync(folder.path()).sort(), ['noted', 'other', 'out', 'source']);
  });

  it('of factors gets no plan of its own, whose result nothing could load', async () => {
    const request = await requestFor(smallModel(folder.path('source')));
    await service.apply(request);
    await assert.rejects(planned(request.out), /out: it holds factors\. Name the model that it was made from/);
  });

  it('takes the place of an empty folder', async () => {
    const request = await requestFor(smallModel(folder.path('source')));
    mkdirSync(request.out);
    const report = await service.apply(request);
    assert.equal(statSync(join(request.out, 'model.safetensors')).size, report.bytesAfter);
    assert.deepEqual(readdirSync(folder.path()).sort(), ['out', 'source']);
  });

  it('gives no name to a result that lost more than the plan predicts', async () => {
    const request = await requestFor(smallModel(folder.path('source')));
    const matrices = request.plan.matrices.map((matrix) => ({ ...matrix, rank: matrix.rank === null ? null : 1 }));
    const plan = { ...request.plan, matrices };
    for (const form of ['folder', 'file'] as const) {
      const asked = { ...request, plan, form, dense: form === 'file' };
      await assert.rejects(service.apply(asked), /it lost 0\.\d+ of its norm, and the plan predicts/);
      assert.ok(!existsSync(request.out), form);
    }
  });

  it('writes both of two equal tensors, which a model need not tie', async () => {
    const random = Array.from({ length: 40 * 24 }, (_, at) => Math.sin(at * at));
    const twice = {
      'model.layers.0.mlp.gate_proj.weight': f32([40, 24], random),
      'model.layers.0.mlp.up_proj.weight': f32([40, 24], random),
    };
    const source = smallModel(folder.path('source'), twice);
    const plan = await planned(source, { 'model.layers.0.mlp.gate_proj.weight': 4 });
    assert.ok(!plan.matrices.some(({ name }) => name.includes('0.mlp.up_proj')));
    const report = await service.apply(await requestFor(source, { plan }));
    const names = Object.keys(await withCheckpoint(report.out, readAll));
    assert.ok(names.includes('model.layers.0.mlp.up_proj.lowrank_a.weight'));
    const { rankscope } = JSON.parse(readFileSync(join(report.out, 'config.json'), 'utf8')) as {
      rankscope: { ranks: Record<string, number> };
    };
    assert.ok('model.layers.0.mlp.up_proj.weight' in rankscope.ranks);
  });

  it('takes the type that is asked for, and says so in the configuration', async () => {
    const source = smallModel(folder.path('source'));
    const report = await service.apply(await requestFor(source, { dtype: 'BF16' }));
    await withCheckpoint(report.out, ({ tensors }) =>
      assert.deepEqual([...new Set(tensors.map(({ dtype }) => dtype))], ['BF16']),
    );
    assert.match(readFileSync(join(report.out, 'config.json'), 'utf8'), /"torch_dtype": "bfloat16"/);
    assert.ok(report.matrices.every((each) => each.measuredError < each.predictedError + 0.01));
  });

  it('needs a configuration that says what the model is, and says what is missing', async () => {
    const source = smallModel(folder.path('source'));
    const request = await requestFor(source);
    writeFileSync(join(source, 'config.json'), CONFIGURATION.replace('"model_type": "llama",', ''));
    await assert.rejects(service.apply(request), /config\.json: it does not name the kind of the model \(model_type\)/);
    writeFileSync(join(source, 'config.json'), '{"model_type": ');
    await assert.rejects(service.apply(request), /config\.json: it holds no JSON object/);
    const remote = CONFIGURATION.replace('{', '{"auto_map": {"AutoModelForCausalLM": "someone/else--modeling.Model"},');
    writeFileSync(join(source, 'config.json'), remote);
    await assert.rejects(service.apply(request), /the code of the model is elsewhere/);
    assert.ok(!existsSync(`${request.out}.rankscope-partial`));
  });
});
