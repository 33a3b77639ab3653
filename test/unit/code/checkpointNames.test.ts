import assert from 'node:assert/strict';
import { namesOf } from '../../../src/code/checkpointNames.ts';
import { matricesUnder } from '../../../src/code/resolveTarget.ts';
import { walk } from '../../../src/code/tensorTrie.ts';
import type { CheckpointView } from '../../../src/protocol/service.ts';

const view = (format: string, ...names: string[]): CheckpointView => {
  const tensors = names.map((name) => ({ name, shape: [4, 4] as const, dtype: 'F32', bytes: 64 }));
  const matrices = tensors.map((tensor) => ({ ...tensor, layer: 0, module: 'x' }));
  const rest = { family: null, layers: 1, ties: [], skipped: [], warnings: [], security: [], metadata: {} };
  return { path: '/m', format, parameters: 16, bytes: 64, tensors, matrices, ...rest };
};

describe('the names of a checkpoint in code', () => {
  it('of a GGUF file are translated, and lead back to its own names', () => {
    const { trie, matrices, modules } = namesOf(view('gguf', 'blk.3.attn_q.weight', 'blk.3.attn_qkv.weight'));
    assert.deepEqual(modules, ['model.layers.3.self_attn.q_proj', 'blk.3.attn_qkv']);
    const found = matricesUnder(walk(trie.root, ['model', 'layers', 3, 'self_attn', 'q_proj']), matrices);
    assert.deepEqual(
      found.map(({ matrix }) => matrix.name),
      ['blk.3.attn_q.weight'],
    );
  });

  it('of another format are kept, even if they look like GGUF', () => {
    assert.deepEqual(namesOf(view('safetensors', 'blk.3.attn_q.weight')).modules, ['blk.3.attn_q']);
  });
});
