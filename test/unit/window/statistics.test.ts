import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { InspectorUpdate } from '../../../src/protocol/page.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { inProcess, SAMPLE } from './inProcess.ts';

describe('the statistics of activations that a session uses', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let parts: ReturnType<typeof inProcess>;
  let file: string;
  before(async () => {
    parts = inProcess();
    file = join(parts.folder, 'sample.activations.safetensors');
    await parts.service.calibrate({ path: SAMPLE, text: 'test/fixtures/texts/stories.txt', context: 64, out: file });
  });
  after(() => parts.close());

  it('add the measures of W X to the findings, and are named with their text', async () => {
    const session = parts.store.get(SAMPLE);
    await session.start();
    assert.ok([...session.findings].every(({ activations }) => activations === undefined));
    await session.useStatistics(file);
    const { statistics, findings, run } = session.snapshot();
    assert.equal(run.status, 'done');
    assert.deepEqual([statistics?.path, statistics?.summary?.text], [file, 'stories.txt']);
    const seen = findings.filter(({ activations }) => activations);
    assert.ok(seen.length >= 42, `${seen.length} of ${findings.length} matrices`);
    const { name } = seen[3]!;
    const spectrum = await session.spectrum(name);
    const { spectralNorm } = seen[3]!.activations!;
    const [first = Number.NaN] = spectrum.activations?.singularValues ?? [];
    assert.ok(Math.abs(first - spectralNorm) <= 1e-5 * spectralNorm);
  });

  it('are remembered for the next window, and used no longer on request', async () => {
    const session = parts.newStore().get(SAMPLE);
    assert.equal(session.statisticsPath, file);
    await session.start();
    assert.ok([...session.findings].some(({ activations }) => activations));
    const updates: InspectorUpdate[] = [];
    session.updates.on((update) => updates.push(update));
    await session.useStatistics(null);
    const { statistics, findings } = session.snapshot();
    assert.equal(statistics, null);
    assert.ok(findings.every(({ activations }) => activations === undefined));
    assert.equal((await session.spectrum(findings[3]!.name)).activations, undefined);
    assert.equal(parts.newStore().get(SAMPLE).statisticsPath, null);
  });

  it('of another model are refused with what differs, and the next run goes without them', async () => {
    const other = folder.write(
      'other.safetensors',
      f32File({
        'model.layers.0.mlp.up_proj.weight': { shape: [4, 3], values: Array.from({ length: 12 }, (_, k) => k) },
      }),
    );
    const session = parts.store.get(other);
    await session.useStatistics(file);
    const { error, statistics, run } = session.snapshot();
    assert.equal(run.status, 'failed');
    assert.equal(error?.subject, file);
    assert.equal(statistics, null);
    await session.start();
    assert.deepEqual([session.run.status, session.snapshot().error], ['done', null]);
  });
});
