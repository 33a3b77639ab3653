import assert from 'node:assert/strict';
import type { EvaluationSnapshot } from '../../../src/protocol/page.ts';
import { EvaluationStore } from '../../../src/window/evaluation/evaluationStore.ts';
import type { MeasureRequest } from '../../../src/window/evaluation/evaluations.ts';
import { readEvaluations } from '../../../src/window/evaluation/readEvaluations.ts';
import { evaluationOf, plansEvaluation } from '../../ui/pages/evaluations.ts';
import { testFolder } from '../formats/folder.ts';
import { inProcess, memory, SAMPLE } from './inProcess.ts';

const STORY =
  'In a market far away lived Paul, a small bear. The sun was warm and the sky was blue. All Paul wanted was a wooden ' +
  'boat, and one day he got it from his mother. But the boat broke into two pieces. "Can you help me?" asked Paul.';

describe('the evaluations of a checkpoint in the editor', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let parts: ReturnType<typeof inProcess>;
  let request: MeasureRequest;
  const kept = memory();
  const newStore = () =>
    new EvaluationStore({ service: parts.service, device: () => ({ engine: 'wasm', threads: 1 }), memory: kept });
  beforeEach(() => {
    parts = inProcess();
    request = { text: folder.write('story.txt', STORY), ranks: [16], plans: [], files: [], context: 32 };
  });
  afterEach(() => parts.close());

  it('send updates that lead from the first snapshot to the last, and survive into another window', async () => {
    const evaluations = newStore().get(SAMPLE);
    let page = evaluations.snapshot();
    const messages = new Set<string>();
    evaluations.updates.on((update: Partial<EvaluationSnapshot>) => {
      page = { ...page, ...update };
      messages.add(page.run.message);
    });
    await evaluations.measure(request);
    assert.deepEqual(page, evaluations.snapshot());
    assert.equal(page.error, null);
    assert.deepEqual([page.run.status, page.asked], ['done', 'rank 16 on story.txt']);
    const [evaluation] = page.evaluations;
    assert.ok(evaluation!.dense.perplexity > 1 && evaluation!.dense.perplexity < evaluation!.variants[0]!.perplexity);
    assert.deepEqual(newStore().get(SAMPLE).snapshot().evaluations, page.evaluations);
  });

  it('accumulate over runs, and a failed run says why and keeps them', async () => {
    const evaluations = newStore().get(SAMPLE);
    const before = evaluations.snapshot().evaluations.length;
    await evaluations.measure({ ...request, ranks: [8] });
    assert.equal(evaluations.snapshot().evaluations.length, before + 1);
    await evaluations.measure({ ...request, text: folder.path('missing.txt') });
    const { error, run, evaluations: all } = evaluations.snapshot();
    assert.deepEqual([run.status, all.length], ['failed', before + 1]);
    assert.match(error!.subject, /missing\.txt/);
    await evaluations.measure({ ...request, text: folder.write('short.txt', 'Once') });
    assert.match(evaluations.snapshot().error!.found, /tokens/);
  });

  it('are measured on a file of token ids in place of a text', async () => {
    const evaluations = newStore().get(SAMPLE);
    const ids = folder.write('ids.json', JSON.stringify(Array.from({ length: 64 }, (_, id) => 3 + id)));
    const { text: _, ...trials } = request;
    await evaluations.measure({ ...trials, ids });
    const { asked, error, evaluations: all } = evaluations.snapshot();
    assert.deepEqual([error, asked], [null, 'rank 16 on ids.json']);
    assert.match(all.at(-1)!.text.tokenizer, /ids/);
  });

  it('are cancelled, and measured again on request', async () => {
    const evaluations = newStore().get(SAMPLE);
    const before = evaluations.snapshot().evaluations.length;
    const run = evaluations.measure(request);
    await new Promise((resolve) => setTimeout(resolve));
    await evaluations.cancel();
    await run;
    assert.deepEqual([evaluations.snapshot().run.status, evaluations.snapshot().error], ['cancelled', null]);
    assert.equal(evaluations.snapshot().evaluations.length, before);
    await evaluations.again();
    assert.equal(evaluations.snapshot().run.status, 'done');
    assert.equal(evaluations.snapshot().evaluations.length, before + 1);
  });

  it('come from files: each run goes to its checkpoint, or to the open page of a model of its size', async () => {
    const store = newStore();
    const [one, other] = [evaluationOf(), plansEvaluation()];
    const elsewhere = evaluationOf({ checkpoint: { ...one.checkpoint, path: 'HuggingFaceTB/SmolLM2-135M' } });
    const file = folder.write('runs.evaluation.json', JSON.stringify([one, other]));
    const { path } = one.checkpoint;
    assert.equal(store.take(await readEvaluations(file)), path);
    assert.deepEqual(store.get(path).snapshot().evaluations, [one, other]);
    assert.equal(store.take(await readEvaluations(file)), path);
    assert.equal(store.get(path).snapshot().evaluations.length, 2, 'the same runs are not added twice');
    assert.equal(store.take([elsewhere], store.get(path)), path);
    assert.equal(store.get(path).snapshot().evaluations.length, 3);
    const large = evaluationOf({ checkpoint: { ...elsewhere.checkpoint, parameters: 7e9 } });
    assert.equal(store.take([large], store.get(path)), 'HuggingFaceTB/SmolLM2-135M');
    assert.equal(store.get(path).snapshot().evaluations.length, 3);
  });

  it('say which file cannot be read', () =>
    assert.rejects(readEvaluations(folder.path('none.json')), {
      code: 'unreadable',
      subject: folder.path('none.json'),
    }));
});
