import assert from 'node:assert/strict';
import { countLora } from '../../../src/model/lora/count.ts';
import type { TargetSet } from '../../../src/model/lora/targets.ts';
import { usualModel } from '../../../src/model/lora/usualModels.ts';
import { restoredView } from '../../../webview/lora/viewState.ts';
import { beyondSentence, costSentence, tutorialSentence } from '../../../webview/lora/words.ts';

describe('the page of LoRA', () => {
  const of = (name: string, set: TargetSet, rank = 8) => {
    const count = countLora(usualModel(name)!, [rank]);
    const row = count.rows.find(({ targets }) => targets === set)!;
    return {
      cost: costSentence(count, row, set),
      tutorial: tutorialSentence(count.model, row, set),
      beyond: beyondSentence(row),
    };
  };

  it('says what a rank costs beside training the whole model', () => {
    // 12 layers of c_attn, 2304 x 768. Adam keeps two f32 numbers for each weight, beside its gradient.
    assert.equal(
      of('gpt2', 'q,v').cost,
      'Rank 8 on query and value (12 modules) trains 294,912 parameters, 0.237 % of the model. With Adam in f32, this takes 4.72 MB, of which 2.36 MB are its moments; training the whole model takes 1.99 GB.',
    );
    assert.equal(of('Llama-3.1-8B', 'q,v').beyond, '');
    assert.match(of('Llama-3.1-8B', 'q,v', 820).beyond, /^In 32 modules, two factors of rank 820 are larger/);
  });

  it('says why the count of tutorials is another: grouped queries, fused layers and MLPs', () => {
    assert.equal(
      of('Llama-2-7b', 'attention').tutorial,
      'The 2 d r L of tutorials gives the same: every matrix is 4096 × 4096.',
    );
    // The heads of this model are together wider than d, and its keys and values as much narrower.
    assert.equal(
      of('Qwen3-4B', 'q,v').tutorial,
      'The 2 d r L of tutorials happens to give the same, though not all matrices are 2560 × 2560: v_proj is narrower, as queries share keys and values; q_proj is wider.',
    );
    assert.equal(
      of('Llama-3.1-8B', 'q,v').tutorial,
      'The 2 d r L of tutorials gives 4,194,304, 23.1 % more, as if all L = 64 matrices were 4096 × 4096: v_proj is narrower, as queries share keys and values.',
    );
    assert.match(
      of('gpt2', 'attention').tutorial,
      /L = 48 .*: attn\.c_attn is one layer in place of several, with one A\.$/,
    );
    assert.match(
      of('Phi-3-mini', 'all-linear').tutorial,
      /qkv_proj and gate_up_proj are one layer each.*; down_proj is wider\.$/,
    );
  });

  it('counts the tutorials not at all where the width is unknown', () => {
    const { hidden: _, ...rest } = usualModel('gpt2')!;
    const count = countLora({ ...rest, hidden: null }, [8]);
    assert.match(tutorialSentence(count.model, count.rows[0]!, 'q,v'), /width d of this network is unknown/);
  });

  it('restores what it showed, and nothing that another version kept', () => {
    const kept = { path: '/m', model: 'gpt2', targets: 'mlp', rank: 4, file: 'axolotl.yaml' };
    assert.deepEqual(restoredView(kept), kept);
    const usual = { path: '', model: null, targets: 'all-linear', rank: 16, file: 'lora_config.py' };
    assert.deepEqual(restoredView(undefined), usual);
    assert.deepEqual(restoredView({ path: 1, model: 'none', targets: 'x', rank: -1, file: null }), usual);
  });
});
