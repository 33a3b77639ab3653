import assert from 'node:assert/strict';
import type { JsonObject } from '../../../src/bytes/boundedJson.ts';
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { denseKinds } from '../../../src/service/plan/denseKinds.ts';
import { tiedHead } from '../../../src/service/plan/tiedHead.ts';
import { tensor } from '../model/tensors.ts';

describe('what a plan knows of matrices that are dense by default', () => {
  const EMBEDDING = 'model.embed_tokens.weight';
  const LAYER = tensor('model.layers.0.self_attn.q_proj.weight', [64, 64]);
  const of = (
    names: Readonly<Record<string, readonly number[]>>,
    more: Partial<Parameters<typeof denseKinds>[0]> = {},
  ) => {
    const { matrices } = anatomy([LAYER, ...Object.entries(names).map(([name, shape]) => tensor(name, shape))]);
    const found = denseKinds({ matrices, ties: [], ...more });
    return Object.fromEntries([...found].map(([{ name }, kinds]) => [name, kinds]));
  };

  it('is the kind alone for an embedding beside a head of its own', () => {
    assert.deepEqual(of({ [EMBEDDING]: [500, 64], 'lm_head.weight': [512, 64] }), {
      [EMBEDDING]: { kinds: ['embedding'] },
      'lm_head.weight': { kinds: ['head'] },
    });
  });

  it('is both kinds for a tied embedding and head, with both names in the caution', () => {
    const ties = [['lm_head.weight', EMBEDDING]];
    const found = of({ 'lm_head.weight': [500, 64], [EMBEDDING]: [500, 64] }, { ties });
    assert.deepEqual(found['lm_head.weight'], {
      kinds: ['head', 'embedding'],
      caution: `Cutting the head lm_head.weight also cuts the embedding ${EMBEDDING}, which is tied to it.`,
    });
  });

  it('warns of a head that may be tied where the checkpoint has none', () => {
    const found = of({ [EMBEDDING]: [500, 64], 'score.weight': [2, 64] });
    assert.deepEqual(found[EMBEDDING]!.kinds, ['embedding']);
    assert.match(found[EMBEDDING]!.caution!, /no head of its own.*both embedding and head/);
    assert.equal(found['score.weight']!.caution, undefined);
  });

  it('warns for the words alone, and not for the types of tokens', () => {
    const types = 'bert.embeddings.token_type_embeddings.weight';
    const words = 'bert.embeddings.word_embeddings.weight';
    const found = of({ [types]: [2, 64], [words]: [500, 64] });
    assert.deepEqual([found[types]!.caution === undefined, found[words]!.caution === undefined], [true, false]);
  });

  it('names a head that is known to be tied though the file does not have it', () => {
    const tiedHead = { embedding: 'token_embd.weight', head: 'output.weight' };
    assert.deepEqual(of({ 'token_embd.weight': [500, 64] }, { tiedHead })['token_embd.weight'], {
      kinds: ['embedding', 'head'],
      caution: 'Cutting the embedding token_embd.weight also cuts the head output.weight, which is tied to it.',
    });
  });

  describe('takes a tied head from config.json', () => {
    const headOf = (configuration: JsonObject, shapes: Readonly<Record<string, readonly number[]>>) => {
      const tensors = Object.entries(shapes).map(([name, shape]) => tensor(name, shape));
      const checkpoint = { tensors, metadata: new Map(), configuration } as unknown as Checkpoint;
      return tiedHead({ checkpoint, anatomy: anatomy([LAYER, ...tensors]) });
    };
    const llama = { architectures: ['LlamaForCausalLM'], tie_word_embeddings: true };
    const found = { embedding: EMBEDDING, head: 'lm_head.weight' };

    it('where it ties them and the file has no head', () => {
      assert.deepEqual(headOf(llama, { [EMBEDDING]: [500, 64] }), found);
      const text = { architectures: ['XForConditionalGeneration'], text_config: { tie_word_embeddings: true } };
      assert.deepEqual(headOf(text, { [EMBEDDING]: [500, 64], 'model.position_embeddings.weight': [32, 64] }), found);
    });

    it('not where it does not, the class has no head, the file has one, or two embeddings may be meant', () => {
      const one = { [EMBEDDING]: [500, 64] };
      assert.equal(headOf({ ...llama, tie_word_embeddings: false }, one), undefined);
      assert.equal(headOf({ ...llama, architectures: ['LlamaModel'] }, one), undefined);
      assert.equal(headOf({ tie_word_embeddings: true, architectures: null, text_config: null }, one), undefined);
      assert.equal(headOf(llama, { ...one, 'lm_head.weight': [512, 64] }), undefined);
      assert.equal(headOf(llama, { ...one, 'model.decoder.embed_tokens.weight': [500, 64] }), undefined);
    });
  });

  it('is known of a tied tensor whose own name says nothing', () => {
    const ties = [['some.thing.weight', EMBEDDING, 'lm_head.weight']];
    const found = of({ 'some.thing.weight': [500, 64], [EMBEDDING]: [500, 64], 'lm_head.weight': [500, 64] }, { ties });
    assert.deepEqual(found['some.thing.weight']!.kinds, ['embedding', 'head']);
  });
});
