import assert from 'node:assert/strict';
import { copyFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InspectorSnapshot, InspectorUpdate } from '../../../src/protocol/page.ts';
import { inProcess, SAMPLE } from './inProcess.ts';

/** The state of a page that received `snapshot` and then `updates`. */
function replay(snapshot: InspectorSnapshot, updates: readonly InspectorUpdate[]): InspectorSnapshot {
  let page = snapshot;
  for (const update of updates) {
    const findings = new Map(page.findings.map((finding) => [finding.name, finding]));
    for (const finding of update.findings ?? []) findings.set(finding.name, finding);
    const skipped = [...page.skipped, ...(update.skipped ?? [])];
    page = { ...page, ...update, findings: [...findings.values()], skipped };
  }
  return page;
}

describe('a session', () => {
  let parts: ReturnType<typeof inProcess>;
  beforeEach(() => {
    parts = inProcess();
  });
  afterEach(() => parts.close());

  it('sends few updates, which lead from the first snapshot to the last', async () => {
    const session = parts.store.get(SAMPLE);
    const first = session.snapshot();
    const updates: InspectorUpdate[] = [];
    session.updates.on((update) => updates.push(update));
    await session.start();
    const last = session.snapshot();
    assert.equal(last.run.status, 'done');
    assert.equal(last.findings.length, last.checkpoint?.matrices.length);
    assert.deepEqual(replay(first, updates), last);
    assert.ok(updates.length < last.findings.length, `${updates.length} messages`);
  });

  it('gives a late page its full state at once', async () => {
    const session = parts.store.get(SAMPLE);
    await session.start();
    const snapshot = session.snapshot();
    const late: InspectorUpdate[] = [];
    session.updates.on((update) => late.push(update));
    assert.equal(snapshot.findings.length, snapshot.checkpoint?.matrices.length);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(late, []);
  });

  it('starts one run, however often it is asked, and resumes after a cancellation', async () => {
    const session = parts.store.get(SAMPLE);
    await session.open();
    assert.equal(session.start(), session.start());
    await session.cancel();
    assert.equal(session.run.status, 'cancelled');
    const before = session.snapshot().findings.length;
    await session.start();
    assert.equal(session.run.status, 'done');
    assert.ok(session.snapshot().findings.length >= before);
  });

  it('runs again if asked while a cancelled run has not ended yet', async () => {
    const session = parts.store.get(SAMPLE);
    void session.start();
    void session.cancel();
    await session.start();
    assert.equal(session.run.status, 'done');
  });

  it('says why a file cannot be opened, and opens it once it is there', async () => {
    const file = join(parts.folder, 'late.safetensors');
    const session = parts.store.get(file);
    await session.start();
    assert.equal(session.run.status, 'failed');
    assert.equal(session.snapshot().error?.code, 'not-found');
    copyFileSync(SAMPLE, file);
    await session.start();
    assert.equal(session.snapshot().error, null);
    assert.equal(session.run.status, 'done');
  });

  it('discards findings when the content of the file has changed', async () => {
    const file = join(parts.folder, 'changing.safetensors');
    copyFileSync(SAMPLE, file);
    const session = parts.store.get(file);
    await session.start();
    let resets = 0;
    session.resets.on(() => resets++);
    truncateSync(file, 100);
    await session.start();
    assert.equal(session.run.status, 'failed');
    const header = '{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}';
    const content = Buffer.concat([Buffer.alloc(8), Buffer.from(header), Buffer.alloc(24, 7)]);
    content.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(file, content);
    await session.start();
    assert.equal(resets, 1);
    assert.deepEqual(
      session.snapshot().findings.map(({ name }) => name),
      ['w'],
    );
  });

  it('is restored with its findings in the next window, until the file changes', async () => {
    const file = join(parts.folder, 'kept.safetensors');
    copyFileSync(SAMPLE, file);
    const session = parts.store.get(file);
    await session.start();
    await parts.archive.keep(session);
    await parts.store.remember(file);
    const next = parts.newStore();
    assert.deepEqual(next.recent(), [file]);
    assert.deepEqual([...(await next.load(file)).findings], session.snapshot().findings);
    writeFileSync(file, 'something else');
    assert.deepEqual([...(await parts.newStore().load(file)).findings], []);
  });
});
