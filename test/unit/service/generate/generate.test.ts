import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../../src/model/generation.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { valuesOf } from '../../network/decoders.ts';
import { LLAMA, TOKENIZER, writeModel } from './models.ts';

describe('a prompt continued by the service', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  const generate = (path: string, more: Partial<GenerateRequest> = {}) =>
    service.generate({ path, prompt: 'once upon', tokens: 20, threads: 1, ...more });
  const refused = (path: string, more: Partial<GenerateRequest>, expected: object) =>
    assert.rejects(generate(path, more), expected);
  const planOf = (path: string, include: readonly string[] = []) =>
    service.plan({ path, request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 }, include }, threads: 1 });

  it('has a text, its tokens and what they show', async () => {
    const { prompt, dense, variant, agreement, tokenizer } = await generate(writeModel(folder.path('model')));
    assert.deepEqual([prompt.text, prompt.ids.length, tokenizer], ['once upon', 9, 'tokenizer.json, BPE']);
    assert.deepEqual([dense.ids.length, dense.ended, variant, agreement], [20, false, null, null]);
    const letters = dense.ids.map((id) => (id > 2 ? ' abcdefghijklmnopqrstuvwxyz'[id - 3] : '') ?? '');
    assert.equal(dense.text, letters.join(''));
    assert.ok(dense.tokensPerSecond! > 0 && dense.repetition.distinct[0]! <= 1);
  });

  it('is the same with a plan, also of a tied embedding, and with the file that apply writes of it', async () => {
    const path = writeModel(folder.path('model'));
    const plan = await planOf(path, ['embedding', 'head']);
    assert.notEqual(plan.matrices.find(({ name }) => name.includes('embed'))!.rank, null);
    const out = folder.path('smaller.safetensors');
    await service.apply({ path, plan, out, threads: 1, smokeTest: false });
    const planned = await generate(path, { plan: { name: 'plan.json', plan } });
    const written = await generate(path, { file: out });
    assert.deepEqual([planned.variant!.name, written.variant!.name], ['plan.json', 'smaller.safetensors']);
    assert.deepEqual(planned.variant!.ids, written.variant!.ids);
    assert.deepEqual(planned.agreement, written.agreement);
    assert.notDeepEqual(planned.variant!.ids, planned.dense.ids);
    const { firstDivergence, equalShare, sameChoiceShare } = planned.agreement!;
    const [dense, variant] = [planned.dense.ids, planned.variant!.ids];
    assert.deepEqual(variant.slice(0, firstDivergence!), dense.slice(0, firstDivergence!));
    assert.notEqual(variant[firstDivergence!], dense[firstDivergence!]);
    assert.equal(equalShare, dense.filter((id, at) => id === variant[at]).length / 20);
    // At the first place that differs, and at none before it, the choices given the dense text differ as well.
    assert.ok(sameChoiceShare >= firstDivergence! / 20 && sameChoiceShare < 1);
  });

  it('agrees with itself at every place if the variant has the same weights', async () => {
    const path = writeModel(folder.path('model'));
    const { agreement } = await generate(path, { file: writeModel(folder.path('copy')) });
    assert.deepEqual(agreement, { firstDivergence: null, equalShare: 1, sameChoiceShare: 1 });
  });

  it('begins with the given ids where there is no tokenizer', async () => {
    const path = writeModel(folder.path('model'), { files: {} });
    const ids = folder.write('ids.txt', LLAMA.ids.slice(0, 5).join(' '));
    const { prompt, dense, tokenizer } = await generate(path, { ids });
    assert.deepEqual([prompt.text, dense.text, tokenizer], [null, null, 'ids in ids.txt']);
    assert.deepEqual([...prompt.ids], LLAMA.ids.slice(0, 5));
    assert.equal(dense.ids.length, 20);
  });

  it('has no text where the tokenizer says of no known way how ids become one', async () => {
    const files = { 'tokenizer.json': { ...TOKENIZER, decoder: { type: 'Cipher' } } };
    const { prompt, dense } = await generate(writeModel(folder.path('model'), { files }));
    assert.deepEqual([prompt.text, dense.text, dense.ids.length], ['once upon', null, 20]);
  });

  it('ends with an end token of generation_config.json, or else of config.json', async () => {
    const { dense } = await generate(writeModel(folder.path('model')));
    const [second, fifth] = [dense.ids[1]!, dense.ids[4]!];
    const config = { eos_token_id: fifth };
    const byConfig = await generate(writeModel(folder.path('one'), { config }));
    assert.deepEqual(byConfig.dense.ids, dense.ids.slice(0, dense.ids.indexOf(fifth) + 1));
    assert.equal(byConfig.dense.ended, true);
    const files = { 'generation_config.json': { eos_token_id: [39, second] } };
    const ids = folder.write('ids.txt', [...(await generate(writeModel(folder.path('three')))).prompt.ids].join(' '));
    const byGeneration = await generate(writeModel(folder.path('two'), { config, files }), { ids });
    assert.deepEqual(byGeneration.dense.ids, dense.ids.slice(0, dense.ids.indexOf(second) + 1));
  });

  it('is cut where the context of the model ends, and that is said', async () => {
    const { dense, notes } = await generate(writeModel(folder.path('model')), { tokens: 100 });
    assert.equal(dense.ids.length, 64 - 9);
    assert.match(notes.join(' '), /context of 64 tokens leaves room for 55 tokens/);
  });

  it('may not be empty, nor longer than the context', async () => {
    const path = writeModel(folder.path('model'));
    await refused(path, { prompt: '' }, { code: 'wrong-use', message: /prompt: it is empty/ });
    // The tokenizer knows none of these characters.
    await refused(path, { prompt: '漢字' }, { code: 'wrong-use', message: /no tokens/ });
    await refused(path, { prompt: 'a'.repeat(64) }, { code: 'wrong-use', message: /64 tokens, and the context .* 64/ });
    const ids = folder.write('ids.json', '[1, 40]');
    await refused(path, { ids }, { code: 'wrong-use', message: /token 40, and the embedding .* 40 rows/ });
    await refused(path, { tokens: 0 }, { code: 'wrong-use' });
  });

  it('says how to give ids where the tokenizer is missing', () =>
    refused(writeModel(folder.path('model'), { files: {} }), {}, { code: 'not-found', message: /--ids/ }));

  it('names an architecture that is not known', () =>
    refused(
      writeModel(folder.path('model'), { config: { model_type: 'mamba' } }),
      {},
      {
        code: 'unsupported',
        message: /"mamba"/,
      },
    ));

  it('names a tensor with NaN', () =>
    refused(
      writeModel(folder.path('model'), {
        values: (name, shape) => valuesOf(LLAMA.seed, name, shape).map((x) => (name.includes('1.mlp.up') ? NaN : x)),
      }),
      {},
      { code: 'not-finite', message: /layers\.1\.mlp\.up_proj/ },
    ));

  it('refuses a plan beside a file, a plan of another model, and a file of another network', async () => {
    const path = writeModel(folder.path('model'));
    const plan = { name: 'plan.json', plan: await planOf(path) };
    await refused(path, { plan, file: path }, { code: 'wrong-use' });
    const other = { ...plan, plan: { ...plan.plan, checkpoint: { ...plan.plan.checkpoint, bytes: 1 } } };
    await refused(path, { plan: other }, { code: 'wrong-use', message: /plan is for/ });
    const file = folder.write(
      'other.safetensors',
      Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')]),
    );
    await refused(path, { file }, { code: 'wrong-use', message: /other\.safetensors/ });
  });

  it('tells its progress, and stops in the middle when it is cancelled', async () => {
    const path = writeModel(folder.path('model'));
    const steps: { done: number; total: number; message: string }[] = [];
    const plan = { name: 'plan.json', plan: await planOf(path) };
    const request = { path, prompt: 'once upon', tokens: 20, threads: 1, plan };
    await service.generate(request, { progress: (step) => steps.push(step) });
    assert.deepEqual(
      steps.map(({ done }) => done),
      steps.map(({ done }) => done).sort((a, b) => a - b),
    );
    assert.equal(steps.at(-1)!.done, steps.at(-1)!.total);
    assert.ok(steps.some(({ message }) => message === 'Reading plan.json'));

    for (const wanted of [/^Reading the dense/, /^the dense network: /, /^plan\.json: /]) {
      const controller = new AbortController();
      let late = 0;
      const progress = ({ message }: { message: string }) => {
        if (controller.signal.aborted) late++;
        if (wanted.test(message)) controller.abort();
      };
      const { signal } = controller;
      await assert.rejects(service.generate(request, { signal, progress }), { code: 'cancelled' });
      // The device finishes what it was given, and a token at most.
      await service.generate({ ...request, tokens: 1 });
      assert.ok(late <= 1, `${late} steps after the cancellation, ${wanted}`);
    }
  });
});
