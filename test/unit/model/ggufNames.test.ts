import assert from 'node:assert/strict';
import { pytorchNameOfGguf } from '../../../src/model/names/ggufNames.ts';
import { python } from '../formats/python.ts';

describe('names of GGUF in PyTorch code', () => {
  it('have no other name for parts of other models and foreign names', () => {
    for (const name of [
      'blk.0.attn_qkv.weight',
      'blk.0.__proto__.weight',
      'constructor.weight',
      'blk.x.attn_q.weight',
      'blk.0.attn_q',
      '',
    ])
      assert.equal(pytorchNameOfGguf(name), undefined, name);
  });

  it('equal those of gguf-py for LLaMA and Qwen', function () {
    const script = `
import json, gguf
pairs = {}
for arch in (gguf.MODEL_ARCH.LLAMA, gguf.MODEL_ARCH.QWEN3):
    names = gguf.get_tensor_name_map(arch, 2)
    for hf in ['model.embed_tokens', 'model.norm', 'lm_head'] + ['model.layers.1.' + part for part in (
        'self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj self_attn.q_norm self_attn.k_norm '
        'input_layernorm post_attention_layernorm mlp.gate_proj mlp.up_proj mlp.down_proj').split()]:
        own = names.get_name(hf)
        if own: pairs[own] = hf
print(json.dumps(pairs))`;
    const pairs = python(this, ['gguf'], script) as Record<string, string>;
    assert.equal(Object.keys(pairs).length, 14);
    for (const [own, hf] of Object.entries(pairs)) assert.equal(pytorchNameOfGguf(`${own}.weight`), `${hf}.weight`);
  });
});
