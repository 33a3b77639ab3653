import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { CompressionSnapshot } from '../../../src/protocol/page.ts';
import { CompressionStore, type CompressionTask } from '../../../src/window/compression/compressions.ts';
import { estimateText } from '../../../src/window/compression/estimateText.ts';
import { testFolder } from '../formats/folder.ts';
import { smallRequest } from '../service/compress/smallModel.ts';
import { inProcess, memory } from './inProcess.ts';

describe('the compression of a checkpoint in the editor', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let parts: ReturnType<typeof inProcess>;
  const kept = memory();
  beforeEach(() => {
    parts = inProcess();
  });
  afterEach(() => parts.close());

  function made() {
    const { path, engine: _, threads: __, ...task } = smallRequest(folder);
    const device = () => ({ engine: 'wasm', threads: 1 });
    const store = () => new CompressionStore({ service: parts.service, device, memory: kept }).get(path);
    return { path, store, task: { ...task, smokeTest: false } satisfies CompressionTask };
  }

  it('sends updates that lead from the first snapshot to the last, and its report outlives the window', async () => {
    const { store, task } = made();
    const compression = store();
    let page = compression.snapshot();
    const stages = new Set<string>();
    let steps = 0;
    compression.updates.on((update: Partial<CompressionSnapshot>) => {
      page = { ...page, ...update };
      stages.add(page.stage);
      steps = Math.max(steps, page.current?.losses.length ?? 0);
    });
    const report = await compression.start(task);
    assert.deepEqual(page, compression.snapshot());
    assert.deepEqual([page.run.status, page.error, page.asked], ['done', null, '70 % kept, fitted to ids.json']);
    assert.equal(page.report, report);
    assert.equal(page.blocks.length, 2);
    assert.ok(page.estimate!.secondsTotal > 0);
    for (const stage of ['text', 'plan', 'blocks', 'write', 'measure']) assert.ok(stages.has(stage), stage);
    assert.deepEqual(store().snapshot().report, report);
  });

  it('is stopped, keeps what is finished, and goes on there', async () => {
    const { store, task } = made();
    const compression = store();
    compression.updates.on(({ blocks }) => void (blocks?.length === 1 && compression.cancel()));
    assert.equal(await compression.start(task), undefined);
    assert.equal(compression.snapshot().run.status, 'cancelled');
    assert.ok(existsSync(`${task.out}.rankscope-partial`));
    const report = await store().start(task);
    assert.equal(report?.resumedBlocks, 1);
  });

  it('says why it failed, and what it will take in words', async () => {
    const { path, store, task } = made();
    const compression = store();
    await compression.start({ ...task, ids: folder.path('missing.json') });
    const { error, run } = compression.snapshot();
    assert.equal(run.status, 'failed');
    assert.match(error!.subject, /missing\.json/);
    const text = estimateText(await parts.service.estimateCompression({ path, ...task, tokens: 32 }));
    assert.match(text, /of memory.*with 8 steps of refinement each/s);
    assert.match(text, /32 tokens, fewer than the columns/);
  });
});
