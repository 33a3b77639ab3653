import assert from 'node:assert/strict';
import type { LoraSnapshot } from '../../../src/protocol/page.ts';
import { LoraDesk } from '../../../src/window/lora/loraDesk.ts';
import { inProcess, SAMPLE } from './inProcess.ts';

describe('the LoRA of a checkpoint', () => {
  const parts = inProcess();
  after(() => parts.close());
  const desk = (path: string) => new LoraDesk(path, parts.service, () => ({ threads: 1 }));

  it('sends updates that lead from the first snapshot to the last', async () => {
    const lora = desk(SAMPLE);
    let page = lora.snapshot();
    lora.updates.on((update: Partial<LoraSnapshot>) => {
      page = { ...page, ...update };
    });
    await lora.open();
    assert.ok((page.model?.modules.length ?? 0) > 0);
    await lora.suggest({ targets: 'q,v', rank: 2 });
    assert.deepEqual(page, lora.snapshot());
    assert.deepEqual([page.run.status, page.suggestion?.uniformRank, page.suggestion?.targets], ['done', 2, 'q,v']);
  });

  it('says why a checkpoint cannot be read, and needs none', async () => {
    const missing = desk('/missing.safetensors');
    await missing.open();
    assert.equal(missing.snapshot().error?.code, 'not-found');
    await missing.suggest({ rank: 2 });
    assert.deepEqual([missing.snapshot().run.status, missing.snapshot().error?.code], ['failed', 'not-found']);
    const none = desk('');
    await none.open();
    assert.deepEqual([none.snapshot().model, none.snapshot().error], [null, null]);
  });

  it('can be cancelled, and suggests again', async () => {
    const lora = desk(SAMPLE);
    const first = lora.suggest({ targets: 'all-linear', rank: 2 });
    assert.equal(lora.suggest({ targets: 'mlp', rank: 2 }), first, 'one run, however often it is started');
    await lora.cancel();
    assert.deepEqual([lora.snapshot().run.status, lora.snapshot().suggestion], ['cancelled', null]);
    await lora.suggest({ targets: 'mlp', rank: 3 });
    assert.deepEqual([lora.snapshot().run.status, lora.snapshot().suggestion?.targets], ['done', 'mlp']);
  });
});
