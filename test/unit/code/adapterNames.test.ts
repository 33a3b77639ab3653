import assert from 'node:assert/strict';
import { namesOf } from '../../../src/code/checkpointNames.ts';
import { matricesUnder } from '../../../src/code/resolveTarget.ts';
import { createService } from '../../../src/service/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';

describe("the names of an adapter in its base model's code", () => {
  it('are the names of the adapted layers, not of the factors', async function () {
    const service = createService({});
    try {
      const view = await service.open({ path: checkpointPath(this, 'lora-gpt2-tigrinya') });
      const { trie, modules, matrices } = namesOf(view);
      assert.ok(modules.includes('transformer.h.7.mlp.c_proj'));
      assert.deepEqual(trie.withKey('lora_A'), []);
      assert.equal(trie.withKey('c_attn').length, 12);
      assert.deepEqual(
        matricesUnder(trie.withKey('c_attn'), matrices).map(({ matrix }) => matrix.name),
        view.matrices.map(({ name }) => name).filter((name) => name.endsWith('.c_attn')),
      );
    } finally {
      await service.close();
    }
  });
});
