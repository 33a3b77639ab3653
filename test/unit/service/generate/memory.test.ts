import assert from 'node:assert/strict';
import { createReferenceBackend } from '../../../../src/devices/reference/backend.ts';
import { openNetwork } from '../../../../src/network/network.ts';
import { OpenCheckpoints } from '../../../../src/service/checkpoints/opened.ts';
import { continueBeside } from '../../../../src/service/generate/continueBeside.ts';
import { testFolder } from '../../formats/folder.ts';
import { writeModel } from './models.ts';

describe('a network that generates text', () => {
  const folder = testFolder();

  it('is refused with its size where it does not fit into the memory of the device', async () => {
    const checkpoints = new OpenCheckpoints();
    try {
      await checkpoints.use(writeModel(folder.path('model')), undefined, async (opened) => {
        const network = await openNetwork(opened.checkpoint);
        const prompt = { ids: [1, 2], text: null, tokenizer: undefined, source: 'ids' };
        const task = { opened, network, prompt, tokens: 3, variant: undefined, signal: undefined, progress: undefined };
        // Less than 4 bytes a parameter, and less than the 8 that this device takes.
        for (const memoryLimit of [60_000, 120_000]) {
          const backend = createReferenceBackend({ memoryLimit });
          await assert.rejects(continueBeside(backend, task), { code: 'too-large', message: /whole network.* KB/ });
        }
        const fitting = createReferenceBackend({ memoryLimit: 2 ** 20 });
        assert.equal((await continueBeside(fitting, task)).dense.ids.length, 3);
      });
    } finally {
      await checkpoints.close();
    }
  });
});
