import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../../src/base/random.ts';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { testFolder } from '../formats/folder.ts';
import { smallModel } from '../service/apply/smallModel.ts';
import { run, start } from './run.ts';

describe('rankscope apply --out FOLDER', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);

  it('goes on after kill -9 in the middle of a shard, and gives the folder of an uninterrupted run', async function () {
    if (process.platform === 'win32') this.skip();
    const { normal } = seededRandom(3);
    const large = () =>
      ({ dtype: 'F32', shape: [320, 240], data: Float32Array.from({ length: 320 * 240 }, normal) }) as const;
    const more = Object.fromEntries(Array.from({ length: 30 }, (_, k) => [`model.more.${k}.weight`, large()]));
    const [path, plan] = [smallModel(folder.path('source'), more), folder.path('plan.json')];
    const made = await cli('plan', path, '--keep', '0.7', '--out', plan, '--engine', 'wasm');
    assert.equal(made.code, 0, made.stderr);
    const words = (out: string) => [
      ...['apply', path, '--plan', plan, '--out', folder.path(out), '--shard-size', '2MB'],
      ...['--no-smoke-test', '--engine', 'wasm', '--json'],
    ];
    assert.equal((await cli(...words('whole'))).code, 0);

    const child = start(folder.path('cache'), words('out'));
    const closed = once(child, 'close');
    const journal = folder.path('out.rankscope-partial/journal.jsonl');
    const shards = folder.path('out.rankscope-partial/result');
    const count = () => (existsSync(shards) ? readdirSync(shards).length : 0);
    // The second shard has begun.
    while (count() < 2) await sleep(2);
    child.kill('SIGKILL');
    assert.deepEqual((await closed)[1], 'SIGKILL');
    assert.ok(!existsSync(folder.path('out')));
    assert.ok(statSync(journal).size > 0);

    const { code, stdout, stderr } = await cli(...words('out'));
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout) as ApplyReport;
    const index = JSON.parse(readFileSync(folder.path('out/model.safetensors.index.json'), 'utf8')) as {
      weight_map: Record<string, string>;
    };
    const inFirst = new Set(
      Object.entries(index.weight_map).flatMap(([name, shard]) =>
        shard === report.folder!.shards[0] ? name.replace(/[.]lowrank_[ab](?=[.]weight$)/, '') : [],
      ),
    ).size;
    // What was finished is not written again: the first shard was, and a part of the second may have been.
    assert.ok(report.folder!.shards.length > 2);
    assert.ok(report.folder!.resumedTensors >= inFirst, `${report.folder!.resumedTensors} of ${inFirst}`);
    const names = readdirSync(folder.path('whole')).sort();
    assert.deepEqual(readdirSync(folder.path('out')).sort(), names);
    for (const name of names)
      assert.ok(
        readFileSync(folder.path(join('out', name))).equals(readFileSync(folder.path(join('whole', name)))),
        name,
      );
    assert.ok(!existsSync(folder.path('out.rankscope-partial')));
  });
});
