import assert from 'node:assert/strict';
import { familyOfMetadata, familyOfModelType } from '../../../src/model/names/familyNames.ts';
import { layerCount } from '../../../src/model/place.ts';

describe('the name of a family', () => {
  const names: readonly (readonly [modelType: string, name: string])[] = [
    ['llama', 'LLaMA'],
    ['llama4_text', 'Llama 4'],
    ['mixtral', 'Mixtral'],
    ['ministral3', 'Mistral'],
    ['qwen3', 'Qwen'],
    ['qwen2_moe', 'Qwen MoE'],
    ['qwen3moe', 'Qwen MoE'],
    ['qwen3_5_moe_text', 'Qwen MoE'],
    ['qwen2_5_vl', 'Qwen2.5 VL'],
    ['deepseek_v3', 'DeepSeek'],
    ['deepseek2', 'DeepSeek'],
    ['gpt_oss', 'gpt-oss'],
    ['gpt-oss', 'gpt-oss'],
    ['gemma3n_text', 'Gemma 3n'],
    ['glm4_moe', 'GLM MoE'],
    ['grounding-dino', 'Grounding Dino'],
    ['vision-encoder-decoder', 'Vision Encoder Decoder'],
    ['granitemoe', 'Granite MoE'],
    ['constructor', 'Constructor'],
  ];
  for (const [modelType, name] of names)
    it(`of ${modelType} is ${name}`, () => assert.equal(familyOfModelType(modelType), name));

  it('comes from the configuration, then from the file, and never from anything long or odd', () => {
    const of = (...metadata: [string, string][]) => familyOfMetadata(new Map(metadata));
    assert.equal(of(['config.json: model_type', 'olmoe'], ['general.architecture', 'llama']), 'OLMoE');
    assert.equal(of(['general.architecture', 'qwen2moe']), 'Qwen MoE');
    assert.equal(of(['config.json: _class_name', 'FluxTransformer2DModel']), 'FluxTransformer2DModel');
    assert.equal(of(['modelspec.architecture', 'flux-1-dev/lora']), 'flux-1-dev/lora');
    for (const odd of ['', '___', 'x'.repeat(100), '<b>', '\u202Ellama'])
      assert.equal(of(['config.json: model_type', odd]), undefined);
  });
});

describe('the number of layers', () => {
  const layer = (stack: string, index: number) => ({ stack, layer: index, module: 'q' });

  it('is given for each stack, or with the number of stacks if they are many', () => {
    const matrices = [layer('text', 0), layer('vision', 0), layer('vision', 1)];
    assert.equal(layerCount({ matrices, layers: 2 }), '3 (vision 2, text 1)');
    assert.equal(layerCount({ matrices: [{ layer: 3, module: 'q' }], layers: 4 }, true), '4 layers');
    const many = Array.from({ length: 9 }, (_, k) => layer(`layer${k}`, 0));
    assert.equal(layerCount({ matrices: many, layers: 1 }, true), '9 layers in 9 stacks');
  });
});
