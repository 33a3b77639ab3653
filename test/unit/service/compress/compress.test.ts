import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { chooseDevice } from '../../../../src/devices/choose.ts';
import { createReferenceBackend } from '../../../../src/devices/reference/backend.ts';
import type { CompressionProgress, CompressionReport, CompressRequest } from '../../../../src/model/compression.ts';
import { parsePlan } from '../../../../src/model/plan/parsePlan.ts';
import { noCache } from '../../../../src/service/cache/cache.ts';
import { memoryCache } from '../../../../src/service/cache/memoryCache.ts';
import { OpenCheckpoints } from '../../../../src/service/checkpoints/opened.ts';
import { compress } from '../../../../src/service/compress/compress.ts';
import { Devices } from '../../../../src/service/devices/devices.ts';
import { KnownSensitivities } from '../../../../src/service/plan/onInputs/knownSensitivities.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { valuesOf, writeDecoder } from '../../network/decoders.ts';
import { caseOf, idsOf, smallRequest } from './smallModel.ts';

const SCHEMA = JSON.parse(readFileSync('media/schemas/compression.schema.json', 'utf8')) as object;
const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(SCHEMA);

describe('a compression with a text', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());
  const partial = () => folder.path('small.safetensors.rankscope-partial');

  it('writes the factors, the plan and the report, whose sizes and windows are those that were asked for', async () => {
    const request = smallRequest(folder);
    const report = await service.compress(request);
    assert.ok(validate(report), JSON.stringify(validate.errors));
    const { text, size, method, blocks, matrices, calibration, unseen, smokeTest } = report;
    assert.deepEqual(
      [text.calibration, text.heldOut, text.unseen].map(({ windows }) => windows),
      [32, 4, 16],
    );
    assert.ok(size.totals.keptShare <= 0.7 && size.totals.keptShare > 0.6, `${size.totals.keptShare}`);
    assert.ok(size.parametersAfter / size.parametersBefore > size.totals.keptShare, 'the embedding stays dense');
    assert.equal(method.spread, 'loss');
    assert.ok(method.measured > 0 && method.filledIn === 0);
    assert.equal(blocks.length, 2);
    assert.equal(
      blocks.reduce((sum, { cut }) => sum + cut, 0),
      matrices.length,
    );
    for (const { dense, compressed, windows } of [calibration, unseen!]) {
      assert.equal(windows, 16);
      assert.ok(compressed.divergence.mean > 0 && dense.perplexity > 1);
    }
    assert.ok(smokeTest && 'generation' in smokeTest);
    assert.deepEqual(JSON.parse(readFileSync(folder.path('small.compression.json'), 'utf8')), report);
    const plan = parsePlan(readFileSync(report.planFile, 'utf8'), report.planFile);
    assert.deepEqual(plan.totals, size.totals);
    assert.ok(!existsSync(partial()), 'the state is removed');
    const measured = await service.evaluate({
      path: request.path,
      files: [request.out],
      ids: request.ids!,
      context: 32,
    });
    assert.equal(measured.variants[0]!.size.parametersOfModel, size.parametersAfter);
  });

  it('reports what each matrix loses of W X, as predicted and as truncated, and the mean of each block', async () => {
    const request = { ...smallRequest(folder), keep: 0.35, smokeTest: false };
    const { matrices, blocks, planFile, out } = await service.compress({ ...request, refine: false });
    const errors = new Map(matrices.map(({ name, inputError }) => [name, inputError!]));
    // In the first layer, the compressed network reads what the dense one does: the embedding behind its norm.
    const { seed, tensors, config } = caseOf('llama');
    const stored = (name: string) => valuesOf(seed, name, tensors[name]!);
    const [embedding, norm] = ['embed_tokens', 'layers.0.input_layernorm'].map((name) =>
      stored(`model.${name}.weight`),
    );
    const first = matrices.find(({ name }) => /layers\.0\.self_attn\.[qkv]_proj/.test(name))!.name;
    const [weights, factors] = [stored(first), await productIn(out, first)];
    const width = norm!.length;
    let [lost, whole] = [0, 0];
    for (const id of idsOf(1024)) {
      const row = embedding!.slice(id * width, (id + 1) * width);
      const scale = 1 / Math.sqrt(row.reduce((sum, x) => sum + x * x, 0) / width + (config.rms_norm_eps as number));
      const x = row.map((value, at) => value * scale * norm![at]!);
      for (let i = 0; i < weights.length / width; i++) {
        const [full, left] = [weights, factors].map((w) =>
          x.reduce((sum, value, j) => sum + w[i * width + j]! * value, 0),
        );
        whole += full! ** 2;
        lost += (full! - left!) ** 2;
      }
    }
    const [found, right] = [errors.get(first)!, Math.sqrt(lost / whole)];
    assert.ok(right > 0.01 && Math.abs(found / right - 1) < 1e-4, `${found}, not ${right}`);
    const plan = parsePlan(readFileSync(planFile, 'utf8'), planFile);
    const applied = await service.apply({
      path: request.path,
      plan,
      out: folder.path('applied.safetensors'),
      calibration: { ids: folder.write('first.json', JSON.stringify(idsOf(1024))), context: 32 },
      smokeTest: false,
    });
    for (const { name, inputError } of applied.matrices)
      assert.ok(
        Math.abs(inputError! / errors.get(name)! - 1) < 1e-4,
        `${name}: ${errors.get(name)}, not ${inputError}`,
      );
    for (const { layer, inputErrors, cut } of blocks) {
      const own = plan.matrices.filter(({ name, rank }) => rank !== null && name.startsWith(`model.layers.${layer}.`));
      assert.equal(own.length, cut);
      const mean = (error: (matrix: (typeof own)[number]) => number) => {
        const parameters = own.reduce((sum, { parametersBefore }) => sum + parametersBefore, 0);
        return Math.sqrt(own.reduce((sum, each) => sum + each.parametersBefore * error(each) ** 2, 0) / parameters);
      };
      assert.ok(Math.abs(inputErrors!.predicted / mean(({ error }) => error) - 1) < 1e-9);
      assert.ok(Math.abs(inputErrors!.measured! / mean(({ name }) => errors.get(name)!) - 1) < 1e-9);
      assert.ok(inputErrors!.measured! > inputErrors!.predicted, 'the errors of all before add to what is predicted');
    }
  });

  it('moves the predictions less than a plan from the weights alone of the same size', async () => {
    const request = smallRequest(folder);
    const { unseen } = await service.compress(request);
    const plan = await service.plan({
      path: request.path,
      request: {
        budget: { kind: 'keep', value: request.keep },
        spread: 'optimal',
        multiple: 1,
        exclude: [],
        overrides: {},
        factors: 2,
      },
    });
    const last = folder.write('unseen.json', JSON.stringify(idsOf(2000).slice(-32 * 16)));
    const { variants } = await service.evaluate({
      path: request.path,
      ids: last,
      context: 32,
      plans: [{ name: 'plain', plan }],
    });
    assert.ok(unseen!.compressed.divergence.mean < variants[0]!.divergence.mean);
  });

  it('lets the model write the text where none is given: the same with the same seed', async () => {
    const { ids: _, ...request } = smallRequest(folder);
    const digests: string[] = [];
    for (const [seed, out] of [
      [1, 'a'],
      [1, 'b'],
      [2, 'c'],
    ] as const) {
      const report = await service.compress({
        ...request,
        seed,
        tokens: 128,
        out: folder.path(`${out}.safetensors`),
        smokeTest: false,
      });
      assert.ok(validate(report), JSON.stringify(validate.errors));
      assert.equal(report.text.name, null);
      assert.equal(report.text.sampled!.seed, seed);
      assert.match(report.notes.join(' '), /the network wrote one itself/);
      digests.push(report.text.digest);
    }
    assert.equal(digests[0], digests[1]);
    assert.notEqual(digests[0], digests[2]);
  });

  it('refuses a time in which the model cannot write its text, and keeps no part of it', async () => {
    const { ids: _, ...request } = smallRequest(folder);
    await assert.rejects(service.compress({ ...request, minutes: 1e-9 }), {
      code: 'wrong-use',
      message:
        /^minutes: in 0 s the model wrote \d+ tokens of the text, and at least 96 are needed\. Allow more minutes/,
    });
    assert.ok(!existsSync(partial()));
  });

  it('refuses a folder in the place of a result before any work, and makes the folder of the code', async () => {
    const request = { ...smallRequest(folder), smokeTest: false, overwrite: true };
    const taken = folder.path('taken');
    mkdirSync(taken);
    for (const wrong of [{ out: taken }, { code: taken }])
      await assert.rejects(service.compress({ ...request, ...wrong }), {
        code: 'wrong-use',
        message: /taken: a folder has this name/,
      });
    assert.ok(!existsSync(partial()));
    const inFile = `${request.ids}/small.safetensors`;
    await assert.rejects(service.compress({ ...request, out: inFile }), {
      code: 'write-failed',
      message: /small\.safetensors: a part of the path is a file/,
    });
    const code = folder.path('new/of/code.py');
    await service.estimateCompression({ ...request, code });
    assert.ok(!existsSync(folder.path('new')), 'an estimate writes nothing');
    await service.compress({ ...request, code, refine: false });
    assert.match(readFileSync(code, 'utf8'), /def load_lowrank/);
  });

  it('refines a block that gained nothing once more at a lower rate, and leaves it truncated where that fails too', async () => {
    const steps: number[] = [];
    const request = { ...smallRequest(folder), smokeTest: false, overwrite: true };
    const progress = ({ step }: CompressionProgress) => {
      if (step?.layer === 0) steps.push(step.step);
    };
    const [first] = (await service.compress({ ...request, rate: 0.05 }, { progress })).blocks;
    assert.deepEqual(steps, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert.ok(first!.refined && first!.after! < first!.before!, `${first!.reason}`);
    const [failed] = (await service.compress({ ...request, rate: 0.2 })).blocks;
    assert.equal(failed!.reason, 'no step lowered the loss on the held-out windows');
    assert.deepEqual([failed!.refined, failed!.after], [false, failed!.before]);
  });

  it('goes on after a cancellation in the middle of a block, and gives the file of an uninterrupted run', async () => {
    const request = { ...smallRequest(folder), smokeTest: false };
    const whole = await service.compress({ ...request, out: folder.path('whole.safetensors') });
    assert.equal(whole.resumedBlocks, 0);
    const controller = new AbortController();
    const progress = ({ step }: CompressionProgress) => {
      if (step?.layer === 1 && step.step === 3) controller.abort();
    };
    await assert.rejects(service.compress(request, { signal: controller.signal, progress }), { code: 'cancelled' });
    assert.deepEqual(readdirSync(partial()).sort(), ['block-1.safetensors', 'plan.json', 'state.json']);
    assert.ok(!existsSync(request.out));
    const seen: number[] = [];
    const again = await service.compress(request, {
      progress: ({ resumedBlocks }) => void (resumedBlocks && seen.push(resumedBlocks)),
    });
    assert.equal(again.resumedBlocks, 1);
    assert.deepEqual(seen, [1]);
    assert.ok(readFileSync(request.out).equals(readFileSync(folder.path('whole.safetensors'))));
    assert.deepEqual(again.matrices, whole.matrices);
    assert.deepEqual(again.unseen, whole.unseen);
    assert.deepEqual(
      again.blocks.map(({ seconds: _, ...block }) => block),
      whole.blocks.map(({ seconds: _, ...block }) => block),
    );
    assert.ok(!existsSync(partial()));
  });

  /** Stops a compression behind its first block. */
  async function stopped(request: CompressRequest): Promise<void> {
    const controller = new AbortController();
    const progress = ({ block }: CompressionProgress) => void (block && controller.abort());
    await assert.rejects(service.compress(request, { signal: controller.signal, progress }), { code: 'cancelled' });
  }

  it('uses the losses that were measured for another size, and measures none', async () => {
    const request = { ...smallRequest(folder), smokeTest: false, overwrite: true };
    const first = await service.compress(request);
    const from = parsePlan(readFileSync(first.planFile, 'utf8'), first.planFile);
    const messages = new Set<string>();
    const out = folder.path('smaller.safetensors');
    const progress = ({ stage, message }: CompressionProgress) => void (stage === 'plan' && messages.add(message));
    const { size, planFile } = await service.compress({ ...request, keep: 0.6, from, out }, { progress });
    assert.ok(size.totals.keptShare <= 0.6 && size.totals.keptShare > 0.5, `${size.totals.keptShare}`);
    assert.deepEqual([...messages], []);
    assert.deepEqual(parsePlan(readFileSync(planFile, 'utf8'), planFile).sensitivities, from.sensitivities);
    const { sensitivities: _, ...unmeasured } = from;
    await assert.rejects(service.compress({ ...request, from: unmeasured }), /no losses were measured for this plan/);
    const other = { ...from, checkpoint: { ...from.checkpoint, bytes: 1 } };
    await assert.rejects(service.compress({ ...request, from: other }), { code: 'wrong-use' });
  });

  it('finds the losses that an earlier compression measured in the cache, and says that they take no time', async () => {
    const request = { ...smallRequest(folder), refine: false, smokeTest: false, overwrite: true };
    const cacheFolder = folder.path('cache');
    const compressed = async (more: Partial<CompressRequest>) => {
      const other = createService({ cacheFolder });
      const messages = new Set<string>();
      const progress = ({ stage, message }: CompressionProgress) => void (stage === 'plan' && messages.add(message));
      try {
        const estimate = await other.estimateCompression({ ...request, ...more });
        const report = await other.compress({ ...request, ...more }, { progress });
        const plan = parsePlan(readFileSync(report.planFile, 'utf8'), report.planFile);
        return { estimate, report, plan, isMeasured: messages.size > 0 };
      } finally {
        await other.close();
      }
    };
    const first = await compressed({});
    assert.ok(first.isMeasured && first.estimate.seconds.plan! > 0);
    // However short the time: what is known takes none.
    const second = await compressed({ keep: 0.6, minutes: 1e-3 });
    assert.ok(!second.isMeasured && second.estimate.seconds.plan === 0);
    assert.deepEqual(second.plan.sensitivities, first.plan.sensitivities);
    assert.deepEqual([second.report.method.spread, second.report.method.measured], ['loss', 14]);
    assert.ok(second.report.size.totals.keptShare <= 0.6);
    assert.ok((await compressed({ tokens: 512 })).isMeasured, 'of fewer windows');
  });

  it('refuses the state of other options, of another text or checkpoint, or discards it if that is allowed', async () => {
    const request = { ...smallRequest(folder), smokeTest: false };
    await stopped(request);
    await assert.rejects(service.compress({ ...request, keep: 0.8 }), {
      code: 'wrong-use',
      message: /rankscope-partial: it holds an unfinished compression with keep 0\.7, not 0\.8/,
    });
    await assert.rejects(service.compress({ ...request, refine: false }), { message: /refine true, not false/ });
    const other = folder.write('other.json', JSON.stringify(idsOf(2000, 7)));
    await assert.rejects(service.compress({ ...request, ids: other }), { message: /with text [0-9a-f]{12}…, not/ });
    const report = await service.compress({ ...request, keep: 0.8, overwrite: true });
    assert.equal(report.resumedBlocks, 0);
    assert.match(report.notes.join(' '), /with keep 0\.7, not 0\.8 was discarded/);
  });

  it('compresses a block again whose file is damaged, and all behind it', async () => {
    const request = { ...smallRequest(folder), smokeTest: false };
    await stopped(request);
    const block = folder.path('small.safetensors.rankscope-partial/block-1.safetensors');
    writeFileSync(block, readFileSync(block).subarray(0, 200));
    const report: CompressionReport = await service.compress(request);
    assert.equal(report.resumedBlocks, 0);
    assert.equal(report.blocks.length, 2);
  });

  it('plans and compresses again where the plan that was kept is damaged or of another model', async () => {
    const request = { ...smallRequest(folder), smokeTest: false };
    const plan = folder.path('small.safetensors.rankscope-partial/plan.json');
    await stopped(request);
    writeFileSync(plan, readFileSync(plan).subarray(0, 300));
    assert.equal((await service.compress(request)).resumedBlocks, 0);
    const other = { ...request, out: folder.path('other.safetensors') };
    await stopped(other);
    const kept = folder.path('other.safetensors.rankscope-partial/plan.json');
    writeFileSync(kept, readFileSync(kept, 'utf8').replace(/"bytes":\d+/, '"bytes":7'));
    await assert.rejects(service.compress(other), { code: 'wrong-use', message: /the plan is for .* with 7/ });
  });

  it('refuses a model whose blocks do not fit on the device, with the number of bytes', async () => {
    const devices = new Devices(
      () => undefined,
      async () => createReferenceBackend({ memoryLimit: 100_000 }),
    );
    const parts = { devices, cache: memoryCache(noCache), known: new KnownSensitivities(noCache) };
    const checkpoints = new OpenCheckpoints();
    const request = { ...smallRequest(folder), engine: 'reference' };
    try {
      await checkpoints.use(request.path, undefined, (opened) =>
        assert.rejects(compress(parts, checkpoints, opened, request, {}), {
          code: 'too-large',
          message: /needs [\d.]+ KB, .* the reference engine has 50 KB/,
        }),
      );
      assert.ok(!existsSync(partial()));
    } finally {
      await Promise.all([devices.close(), checkpoints.close()]);
    }
  });

  it('leaves a block truncated whose gradient is NaN, refines the others, and names both', async () => {
    let isSpoiled = false;
    const devices = new Devices(
      () => undefined,
      async () => {
        const backend = await chooseDevice({ engine: 'wasm', threads: 1 });
        const { network } = backend;
        const activateBack = network.activateBack.bind(network);
        const spoiled: typeof network.activateBack = async (gradient, ...rest) => {
          await activateBack(gradient, ...rest);
          if (isSpoiled) await backend.upload(gradient, 0, gradient.rows, (out) => void out.fill(Number.NaN));
        };
        Object.assign(network, { activateBack: spoiled });
        return backend;
      },
    );
    const parts = { devices, cache: memoryCache(noCache), known: new KnownSensitivities(noCache) };
    const checkpoints = new OpenCheckpoints();
    const request = { ...smallRequest(folder), tokens: 128, steps: 4, smokeTest: false };
    const progress = ({ step }: CompressionProgress) => {
      if (step?.layer === 1 && step.step === 2) isSpoiled = true;
    };
    try {
      await checkpoints.use(request.path, undefined, async (opened) => {
        const { blocks, notes, unseen } = await compress(parts, checkpoints, opened, request, { progress });
        assert.deepEqual(
          blocks.map(({ refined }) => refined),
          [true, false],
        );
        assert.match(blocks[1]!.reason!, /the gradient of model\.layers\.1\.\S+ is not finite at step \d/);
        assert.ok(notes.some((note) => note === `Block 2 stays as truncated: ${blocks[1]!.reason}.`));
        assert.equal(blocks[1]!.after, blocks[1]!.before);
        assert.ok(Number.isFinite(unseen!.compressed.perplexity));
      });
    } finally {
      await Promise.all([devices.close(), checkpoints.close()]);
    }
  });

  it('does not touch a folder in the place of its state that is not one', async () => {
    const request = smallRequest(folder);
    const kept = folder.write('small.safetensors.rankscope-partial/thesis.txt', 'mine');
    for (const overwrite of [false, true])
      await assert.rejects(service.compress({ ...request, overwrite }), {
        code: 'wrong-use',
        message: /not the state/,
      });
    assert.equal(readFileSync(kept, 'utf8'), 'mine');
  });

  it('warns of a text that repeats itself, of fewer tokens than columns, and of an evaluation text that it has read', async () => {
    const line = idsOf(20);
    const repeated = Array.from({ length: 2000 }, (_, k) => line[k % 20]!);
    const request = { ...smallRequest(folder, 'llama', repeated), smokeTest: false };
    const { notes } = await service.compress(request);
    assert.match(notes.join(' '), /The calibration text repeats itself: 9\d %/);
    assert.match(notes.join(' '), /The unseen windows repeat the calibration windows \(100 %/);
    const few = { ...smallRequest(folder), tokens: 32, out: folder.path('few.safetensors'), smokeTest: false };
    assert.match(
      (await service.compress(few)).notes.join(' '),
      /32 tokens, fewer than the columns of 2 of 14 matrices/,
    );
    const tiny = { ...few, context: 8, tokens: 8, keep: 0.9, out: folder.path('tiny.safetensors'), overwrite: true };
    assert.match(
      (await service.compress(tiny)).notes.join(' '),
      /too short for the ranks of \d+ matrices: it has 8 tokens/,
    );
    const estimate = await service.estimateCompression({ ...few, out: folder.path('none.safetensors') });
    assert.match(estimate.notes.join(' '), /fewer than the columns/);
    const text = 'test/fixtures/texts/stories.txt';
    const sizes = { tokens: 64, context: 32, keep: 0.5, out: folder.path('none.safetensors') };
    const same = await service.estimateCompression({ path: 'test/fixtures/sample', text, evaluate: text, ...sizes });
    assert.match(same.notes.join(' '), /The evaluation text stories\.txt is the calibration text/);
  });

  it('says before anything is measured that no plan is as small as was asked for, with the least share', async () => {
    const request = { ...smallRequest(folder), keep: 0.01, refine: false, smokeTest: false };
    // The floor is 0.3 of the break-even rank, rounded down, of each of the matrices in two blocks.
    const config = caseOf('llama').config as Record<string, number>;
    const [width, wide] = [config.hidden_size!, config.intermediate_size!];
    const narrow = (config.num_key_value_heads! / config.num_attention_heads!) * width;
    let [kept, whole] = [0, 0];
    for (const [m, n] of [
      ...[width, width].map((rows) => [rows, width]),
      ...[narrow, narrow].map((rows) => [rows, width]),
      ...[wide, wide].map((rows) => [rows, width]),
      [width, wide],
    ] as [number, number][]) {
      const breakEven = Math.ceil((m * n) / (m + n)) - 1;
      kept += Math.max(1, Math.floor(0.3 * breakEven)) * (m + n);
      whole += m * n;
    }
    const said = `The size cannot be met: ${Number(((100 * kept) / whole).toFixed(1))} % of what may be cut is the least`;
    const before = await service.estimateCompression(request);
    assert.ok(before.notes[0]!.startsWith(said), `${before.notes[0]}, not ${said}`);
    const stages: string[] = [];
    const progress = ({ stage, estimate }: CompressionProgress) => {
      if (estimate) assert.ok(estimate.notes[0]!.startsWith(said));
      stages.push(estimate ? 'said' : stage);
    };
    const { notes, size } = await service.compress(request, { progress });
    assert.ok(stages.indexOf('said') < stages.indexOf('plan') && stages.includes('said'), stages.join(' '));
    assert.equal(notes.filter((note) => note.startsWith('The size cannot be met')).length, 1);
    assert.ok(Math.abs(size.totals.keptShare - kept / whole) < 1e-12);
    assert.doesNotMatch(notes.join(' '), /lower floor/);
    const possible = await service.estimateCompression({ ...request, keep: kept / whole, overwrite: true });
    assert.ok(possible.notes.every((note) => !note.startsWith('The size cannot')));
  });

  it('says what it takes before the model writes its text, and again for the text that it wrote', async () => {
    const { ids: _, ...request } = smallRequest(folder);
    const seen: string[] = [];
    const progress = ({ stage, estimate, message }: CompressionProgress) => {
      if (estimate) seen.push(`estimate with ${estimate.seconds.text === undefined ? 'the' : 'no'} text`);
      else if (stage === 'text') seen.push(message);
    };
    await service.compress({ ...request, tokens: 128, refine: false, smokeTest: false }, { progress });
    assert.deepEqual(
      [...new Set(seen)],
      ['estimate with no text', 'The model writes the text itself', 'estimate with the text'],
    );
  });

  it('refuses a text that is too short for its purposes, with the numbers', async () => {
    const request = smallRequest(folder, 'llama', idsOf(40));
    await assert.rejects(service.compress(request), {
      code: 'wrong-use',
      message: /1 window, and at least 3 are needed/,
    });
    const shorter = { ...request, ids: folder.write('few.json', '[1, 2, 3, 4, 5]') };
    await assert.rejects(service.compress(shorter), {
      code: 'wrong-use',
      message: /4 tokens, fewer than the 31 of a window/,
    });
  });

  it('refuses options out of range, and files that exist or are read, before any work', async () => {
    const request = smallRequest(folder);
    for (const [more, message] of [
      [{ keep: 0 }, /keep: 0/],
      [{ keep: 1 }, /keep: 1/],
      [{ keep: Number.NaN }, /keep/],
      [{ minutes: 0 }, /minutes/],
      [{ steps: 0 }, /steps/],
      [{ out: request.path, overwrite: true }, /a file that is read/],
      [{ out: request.ids!, overwrite: true }, /a file that is read/],
      [{ rate: 0 }, /rate/],
      [{ code: request.out }, /one file/],
    ] as const)
      await assert.rejects(service.compress({ ...request, ...more }), { code: 'wrong-use', message });
    folder.write('small.plan.json', 'mine');
    await assert.rejects(service.compress(request), { code: 'wrong-use', message: /small\.plan\.json/ });
    assert.ok(!existsSync(partial()));
  });

  it('refuses NaN in the weights by the name of the tensor, and an architecture that is not known', async () => {
    const { config, ...known } = caseOf('llama');
    const request = smallRequest(folder);
    const path = writeDecoder(folder.path('other'), { ...known, config: { ...config, model_type: 'mamba' } });
    await assert.rejects(service.compress({ ...request, path }), { code: 'unsupported', message: /mamba/ });
    const broken = writeDecoder(folder.path('nan'), { ...known, config }, (name, shape) =>
      Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () =>
        name === 'model.layers.1.mlp.up_proj.weight' ? Number.NaN : 0.1,
      ),
    );
    await assert.rejects(service.compress({ ...request, path: broken }), {
      code: 'not-finite',
      message: /layers\.1\.mlp\.up_proj/,
    });
  });
});

/** B A of a matrix in a written file, row-major. */
async function productIn(file: string, name: string): Promise<number[]> {
  const checkpoint = await openCheckpoint(file);
  try {
    const [b, a] = await Promise.all(
      ['b', 'a'].map(async (factor) => {
        const own = name.replace(/weight$/, `lowrank_${factor}.weight`);
        const tensor = checkpoint.tensors.find((each) => each.name === own)!;
        const values = new Float32Array(tensor.shape[0]! * tensor.shape[1]!);
        await tensor.read(0, values);
        return { values, cols: tensor.shape[1]! };
      }),
    );
    const rows = b!.values.length / b!.cols;
    return Array.from({ length: rows * a!.cols }, (_, at) => {
      const [i, j] = [Math.floor(at / a!.cols), at % a!.cols];
      let sum = 0;
      for (let k = 0; k < b!.cols; k++) sum += b!.values[i * b!.cols + k]! * a!.values[k * a!.cols + j]!;
      return sum;
    });
  } finally {
    await checkpoint.close();
  }
}
