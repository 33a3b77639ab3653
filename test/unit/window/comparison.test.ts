import assert from 'node:assert/strict';
import type { ComparisonSnapshot } from '../../../src/protocol/page.ts';
import { Comparison } from '../../../src/window/comparison.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { inProcess, SAMPLE } from './inProcess.ts';

describe('a comparison in the editor', () => {
  const folder = testFolder();
  let parts: ReturnType<typeof inProcess>;
  beforeEach(() => {
    parts = inProcess();
  });
  afterEach(() => parts.close());

  const adapter = (name: string, layers: number) =>
    folder.write(
      `${name}.safetensors`,
      f32File(
        Object.fromEntries(
          Array.from({ length: layers }, (_, layer) => [
            [`layers.${layer}.lora_A.weight`, { shape: [1, 3], values: [1, 2, 3] }] as const,
            [`layers.${layer}.lora_B.weight`, { shape: [2, 1], values: [1, 1] }] as const,
          ]).flat(),
        ),
      ),
    );

  it('sends updates that lead from the first snapshot to the last', async () => {
    const comparison = new Comparison([adapter('a', 3), adapter('b', 2)], parts.service);
    let page = comparison.snapshot();
    assert.deepEqual([page.run.status, page.comparison], ['idle', null]);
    comparison.updates.on((update: Partial<ComparisonSnapshot>) => {
      page = { ...page, ...update };
    });
    await comparison.start();
    assert.deepEqual(page, comparison.snapshot());
    assert.deepEqual([page.run.status, page.run.total, page.comparison?.adapters.length], ['done', 3, 2]);
  });

  it('says why it fails, and succeeds once the files are right', async () => {
    const other = folder.path('b.safetensors');
    const comparison = new Comparison([adapter('a', 1), other], parts.service);
    await comparison.start();
    assert.deepEqual([comparison.snapshot().run.status, comparison.snapshot().error?.code], ['failed', 'not-found']);
    adapter('b', 1);
    await comparison.start();
    assert.deepEqual([comparison.snapshot().run.status, comparison.snapshot().error], ['done', null]);
    const wrong = new Comparison([other, SAMPLE], parts.service);
    await wrong.start();
    assert.match(wrong.snapshot().error?.found ?? '', /holds no LoRA adapter/);
  });

  it('can be cancelled and started again', async () => {
    const comparison = new Comparison([adapter('a', 40), adapter('b', 40)], parts.service);
    const first = comparison.start();
    assert.equal(comparison.start(), first, 'one run, however often it is started');
    await comparison.cancel();
    assert.equal(comparison.snapshot().run.status, 'cancelled');
    await comparison.start();
    assert.equal(comparison.snapshot().run.status, 'done');
  });
});
