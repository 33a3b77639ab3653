import assert from 'node:assert/strict';
import { type ErrorCode, RankscopeError } from '../../../src/base/errors.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import { AnalysisRun } from '../../../src/service/analysis/analyze.ts';
import { noCache } from '../../../src/service/cache/cache.ts';
import type { Opened } from '../../../src/service/checkpoints/opened.ts';
import { Devices } from '../../../src/service/devices/devices.ts';
import { plan } from '../../../src/service/plan/plan.ts';
import { testFolder } from '../formats/folder.ts';
import { noise, writeMatrices } from './matrices.ts';

const BAD = 'layers.1.w.weight';
const PLAN_REQUEST = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 } } as const;

describe('a matrix that cannot be read or computed', () => {
  const folder = testFolder();
  const devices = new Devices(() => undefined);
  after(() => devices.close());

  /** A checkpoint of three matrices; reading the second one fails with `code`. */
  async function openedFailing(code: ErrorCode): Promise<Opened> {
    const names = ['layers.0.w.weight', BAD, 'layers.2.w.weight'];
    const matrices = Object.fromEntries(names.map((name, index) => [name, noise(24, 24, index + 1)]));
    const checkpoint = await openCheckpoint(writeMatrices(folder.path('a.safetensors'), matrices));
    const read = async () => {
      throw new RankscopeError(code, BAD, `fails as ${code}`);
    };
    const tensors = checkpoint.tensors.map((tensor) =>
      tensor.name === BAD ? Object.assign(Object.create(tensor), { read, readStored: read }) : tensor,
    );
    const adapter = { naming: '', pairs: 0, updates: [], refused: [], remarks: [] };
    const tied = { ties: () => [], tiesByContent: async () => [] };
    return { checkpoint: { ...checkpoint, tensors }, anatomy: anatomy(tensors), adapter, ...tied } as unknown as Opened;
  }

  for (const code of ['not-finite', 'too-large', 'unsupported', 'malformed'] as const) {
    it(`is skipped by an analysis and stays dense in a plan, both with the reason (${code})`, async () => {
      const opened = await openedFailing(code);
      const parts = { devices, cache: noCache };
      const request = { path: opened.checkpoint.path, mode: 'exact', threads: 1 } as const;
      const { matrices, skipped } = await new AnalysisRun(parts, opened, request, {}).run();
      assert.equal(matrices.length, 2);
      assert.deepEqual(skipped, [{ name: BAD, reason: `fails as ${code}` }]);
      const planned = await plan(parts, opened, PLAN_REQUEST, { threads: 1 }, {});
      assert.equal(planned.matrices.length, 3);
      const [dense] = planned.matrices.filter(({ name }) => name === BAD);
      assert.deepEqual([dense?.rank, dense?.reason], [null, `fails as ${code}`]);
      await opened.checkpoint.close();
    });
  }

  it('ends an analysis and a plan if the file has changed', async () => {
    const opened = await openedFailing('changed');
    const parts = { devices, cache: noCache };
    const { path } = opened.checkpoint;
    await assert.rejects(new AnalysisRun(parts, opened, { path, threads: 1 }, {}).run(), { code: 'changed' });
    await assert.rejects(plan(parts, opened, PLAN_REQUEST, { threads: 1 }, {}), { code: 'changed' });
    await opened.checkpoint.close();
  });
});
