import assert from 'node:assert/strict';
import type { DeviceRequest } from '../../../src/base/deviceInfo.ts';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { chooseDevice } from '../../../src/devices/choose.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { Devices } from '../../../src/service/devices/devices.ts';

/** Room for 100 numbers. */
const SMALL = 800;

describe('devices in use', function () {
  this.timeout(60_000);
  let lines: string[];
  let devices: Devices;
  /** Where `auto` is asked for, a device with little memory, as a GPU may be one. */
  const choose = async (request: DeviceRequest = {}): Promise<Backend> =>
    (request.engine ?? 'auto') === 'cpu' ? chooseDevice(request) : createReferenceBackend({ memoryLimit: SMALL });

  beforeEach(() => {
    lines = [];
    devices = new Devices((line) => lines.push(line), choose);
  });
  afterEach(() => devices.close());

  const normOf = (rows: number, cols: number) => async (backend: Backend) => {
    const matrix = await backend.allocate(rows, cols);
    try {
      await backend.upload(matrix, 0, rows, (out) => void out.fill(1));
      const [largest = 0] = await backend.singularValues(matrix);
      return { largest, engine: backend.info.name };
    } finally {
      backend.free(matrix);
    }
  };

  it('what is too large for the chosen device is computed on the processor, with the reason in the log', async () => {
    const run = (rows: number) => devices.run({ threads: 1 }, 'weights', {}, normOf(rows, rows));
    assert.equal((await run(8)).engine, 'reference');
    const { largest, engine } = await run(40);
    assert.equal(engine, 'cpu');
    assert.ok(Math.abs(largest - 40) < 1e-3);
    assert.match(
      lines.join('\n'),
      /Too large for reference, computed on the processor: .*a 40 x 40 matrix needs 12800 bytes/,
    );
    // What fits goes on where it did.
    assert.equal((await run(8)).engine, 'reference');
  });

  it('a device that was requested by name refuses what is too large', async () => {
    const run = devices.run({ engine: 'reference' }, 'weights', {}, normOf(40, 40));
    await assert.rejects(run, { code: 'too-large' });
  });

  it('a device that fails is restarted once', async () => {
    let attempts = 0;
    const job = async (backend: Backend) => {
      if (++attempts === 1) throw new RankscopeError('engine', 'device', 'it was lost');
      return backend.info.name;
    };
    assert.equal(await devices.run({ engine: 'cpu', threads: 1 }, 'weights', {}, job), 'cpu');
    assert.equal(attempts, 2);
    assert.match(lines.join('\n'), /is restarted: device: it was lost/);
    const failing = devices.run({ engine: 'cpu', threads: 1 }, 'weights', {}, async () => {
      throw new RankscopeError('engine', 'device', 'it was lost again');
    });
    await assert.rejects(failing, { code: 'engine', message: /lost again/ });
  });
});
