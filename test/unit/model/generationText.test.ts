import assert from 'node:assert/strict';
import type { Continuation, Generation } from '../../../src/model/generation.ts';
import { generationSentences } from '../../../src/model/generationText.ts';
import { measureRepetition } from '../../../src/model/repetition.ts';

const continued = (ids: readonly number[]): Continuation => ({
  text: null,
  ids,
  ended: false,
  repetition: measureRepetition(ids, () => null),
  promptSeconds: 1,
  tokensPerSecond: 10,
});
const PROSE = Array.from({ length: 20 }, (_, i) => i);
const LOOP = PROSE.map((i) => i % 2);
const sentencesOf = (dense: readonly number[], variant: readonly number[] | null, agreement: Generation['agreement']) =>
  generationSentences({
    format: 'rankscope.generation/1',
    path: 'a.safetensors',
    prompt: { text: null, ids: [1] },
    tokens: 20,
    tokenizer: 'GGUF gpt2',
    dense: continued(dense),
    variant: variant && { name: 'plan.json', ...continued(variant) },
    agreement,
    engine: { name: 'cpu', device: 'cpu', threads: 1, reason: '' },
    notes: [],
  });
const PARTED = { firstDivergence: 3, equalShare: 0.25, sameChoiceShare: 0.5 };
const SAME = { firstDivergence: null, equalShare: 1, sameChoiceShare: 1 };

describe('the words for a generation', () => {
  it('say first of whom the text repeats itself, with what shows it', () => {
    assert.deepEqual(sentencesOf(PROSE, LOOP, PARTED), [
      'The variant repeats itself (the same 2 tokens 10 times in a row, 11.1 % of its runs of 3 tokens are distinct, ' +
        'the longest repeat has 10 tokens); the dense model does not.',
      'The texts part after 3 tokens: 25 % of the positions have the same token, and with the dense text before it ' +
        'the variant chooses the same next token for 50 %.',
    ]);
    assert.match(sentencesOf(LOOP, LOOP, SAME)[0]!, /^The variant repeats itself .*, and so does the dense model/);
    assert.match(sentencesOf(LOOP, PROSE, PARTED)[0]!, /^The dense model repeats itself .*; the variant does not\.$/);
    assert.match(sentencesOf(LOOP, null, null)[0]!, /^The model repeats itself/);
  });

  it('say where the texts part, or that they are the same', () => {
    assert.deepEqual(sentencesOf(PROSE, PROSE, SAME), ['Both continue the prompt with the same 20 tokens.']);
    assert.match(
      sentencesOf(PROSE, LOOP, { ...PARTED, firstDivergence: 0 })[1]!,
      /^The texts part at the first token:/,
    );
    const nearly = { ...PARTED, sameChoiceShare: 0.99999 };
    assert.match(sentencesOf(PROSE, PROSE, nearly)[0]!, /the same next token for 99\.9 %\.$/);
    assert.deepEqual(sentencesOf(PROSE, null, null), []);
  });
});
