import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeStep } from '../../../../src/network/tokenizer/decoding/steps.ts';
import { tokenizerOfJson } from '../../../../src/network/tokenizer/tokenizerJson.ts';

const decoded = (description: unknown, ...tokens: string[]) =>
  decodeStep('tokenizer.json', description)(tokens).join('');

const SENTENCE_PIECE = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};

describe('the decoder of a tokenizer.json', () => {
  it('joins bytes that are spread over tokens, and keeps tokens outside the alphabet as they are', () => {
    assert.equal(decoded({ type: 'ByteLevel' }, 'Ġh', 'Ã', '©', 'Ċ', '<| x |>'), ' hé\n<| x |>');
    assert.equal(decoded({ type: 'ByteLevel' }, 'æ', '¼', 'a'), '\uFFFDa');
  });

  it('follows SentencePiece: marks are spaces, the first is not part of the text, bytes become characters', () => {
    assert.equal(decoded(SENTENCE_PIECE, '▁the', '▁▁cat', '<0xC3>', '<0xa9>', '▁'), 'the  caté ');
    // A run of bytes that is no UTF-8 is unreadable byte by byte.
    assert.equal(decoded(SENTENCE_PIECE, '<0x41>', '<0xC3>', 'x', '<0x42>'), '\uFFFD\uFFFDxB');
  });

  it('knows the marks of other kinds', () => {
    assert.equal(decoded({ type: 'Metaspace', replacement: '_' }, '_a', '_b_c'), 'a b c');
    assert.equal(decoded({ type: 'Metaspace', prepend_scheme: 'never' }, '▁a', '▁b'), ' a b');
    assert.equal(decoded({ type: 'WordPiece' }, 'play', '##ing', 'is', "n't", '.'), "playing isn't.");
    assert.equal(decoded({ type: 'WordPiece', prefix: '@@', cleanup: false }, 'a', '@@b', '.'), 'ab .');
    assert.equal(decoded({ type: 'BPEDecoder' }, 'low', 'er</w>', 'new</w>'), 'lower new');
    assert.equal(decoded({ type: 'Replace', pattern: { Regex: '[xy]+' }, content: '$&' }, 'axyb'), 'a$&b');
    assert.equal(decoded(null, 'a', 'b'), 'a b');
  });

  it('is refused by name if it is not known, and what is wrong with it is said', () => {
    assert.throws(() => decoded({ type: 'Cipher' }), { code: 'unsupported', message: /"Cipher"/ });
    for (const wrong of [
      3,
      [],
      { type: 'Sequence' },
      { type: 'Sequence', decoders: [7] },
      { type: 'Replace' },
      { type: 'Replace', pattern: { Regex: '(' }, content: '' },
      { type: 'Replace', pattern: { String: 'a' }, content: 7 },
      { type: 'Strip', content: [] },
      { type: 'WordPiece', prefix: {} },
    ])
      assert.throws(() => decoded(wrong), { code: /malformed|unsupported/ }, JSON.stringify(wrong));
  });

  it('gives back the text of any bytes, and leaves out ids without a token', () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => [
      `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
      byte,
    ]);
    const json = {
      model: { type: 'BPE', vocab: Object.fromEntries(bytes), merges: [], byte_fallback: true },
      decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    };
    const tokenizer = tokenizerOfJson('tokenizer.json', json);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
        const ids = [...Buffer.from(text)];
        assert.equal(tokenizer.decode([999, ...ids, -1, 2 ** 31]), Buffer.from(ids).toString());
      }),
    );
  });
});
