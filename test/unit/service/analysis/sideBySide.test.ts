import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { Backend } from '../../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../../src/devices/cpu/backend.ts';
import type { AnalysisProgress } from '../../../../src/protocol/service.ts';
import { AnalysisRun } from '../../../../src/service/analysis/analyze.ts';
import type { Accuracy } from '../../../../src/service/analysis/sweeps.ts';
import { noCache } from '../../../../src/service/cache/cache.ts';
import { OpenCheckpoints } from '../../../../src/service/checkpoints/opened.ts';
import { Devices } from '../../../../src/service/devices/devices.ts';
import { testFolder } from '../../formats/folder.ts';
import { safetensorsBytes } from '../../formats/safetensorsBytes.ts';

const LANES = 4;
/** Too large to be held in each lane, but not for a stack of 3 n x n in each. */
const [ROWS, COLS] = [90_000, 96];

describe('matrices side by side', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const checkpoints = new OpenCheckpoints();
  /** The lanes of the jobs that had one. */
  let lanes: number[];
  const devices = new Devices(
    () => undefined,
    async () => noting(createCpuBackend(LANES), lanes),
  );
  beforeEach(() => {
    lanes = [];
  });
  after(() => Promise.all([devices.close(), checkpoints.close()]));

  /** Analyses a checkpoint of tall matrices, and returns how many had a lane. */
  async function besideOthers(count: number, mode: Accuracy): Promise<number> {
    const path = folder.path(`${count}.safetensors`);
    writeFileSync(path, tallMatrices(count));
    const found: string[] = [];
    const progress = ({ finding }: AnalysisProgress) => finding && found.push(finding.name);
    await checkpoints.use(path, undefined, async (opened) => {
      const request = { path, engine: 'cpu', threads: LANES, mode };
      await new AnalysisRun({ devices, cache: noCache }, opened, request, { progress }).run();
    });
    assert.equal(found.length, count);
    return lanes.length;
  }

  it('are tall ones of which only a part is on the device at a time', async () => {
    assert.equal(await besideOthers(LANES, 'exact'), LANES);
    assert.equal(new Set(lanes).size, LANES);
  });

  it('are not tall ones that leave the other lanes without work', async () => {
    assert.equal(await besideOthers(1, 'exact'), 0);
  });

  it('are not tall ones that a preview holds as a whole', async () => {
    assert.equal(await besideOthers(LANES, 'preview'), 0);
  });
});

/** The device, noting which lanes are used. */
function noting(backend: Backend, used: number[]): Backend {
  const { count, at } = backend.lanes!;
  const lane = (number: number) => {
    used.push(number);
    return at(number);
  };
  return Object.create(backend, { lanes: { value: { count, at: lane } } });
}

/** Each of other entries, for equal ones would be computed once. */
function tallMatrices(count: number): Buffer {
  const size = ROWS * COLS * 2;
  const header = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `layers.${i}.w.weight`,
      { dtype: 'BF16', shape: [ROWS, COLS], data_offsets: [i * size, (i + 1) * size] },
    ]),
  );
  // 0x3f00 + k is a number of about 1.
  const entries = Uint16Array.from({ length: (count * size) / 2 }, (_, i) => 0x3f00 + ((i * 7919) % 127));
  return safetensorsBytes(header, new Uint8Array(entries.buffer));
}
