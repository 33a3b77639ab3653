import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { openTokenizer, openTokenizerFile } from '../../../../src/network/tokenizer/openTokenizer.ts';
import type { Tokenizer } from '../../../../src/network/tokenizer/tokenizer.ts';
import { text, u32, u64 } from '../../formats/gguf/ggufBytes.ts';
import { processorTime } from '../../processorTime.ts';
import { inFolder } from './inFolder.ts';
import {
  ggufWith,
  gpt2Gguf,
  integers,
  llama2cBytes,
  llamaGguf,
  PIECES,
  SCORES,
  sentencePieceBytes,
  texts,
} from './vocabularies.ts';

/** The tokenizer of a file with this content. */
function tokenizerOf(name: string, content: Uint8Array | string): Promise<Tokenizer> {
  return inFolder({ [name]: content }, async (folder) => {
    if (!name.endsWith('.gguf')) return openTokenizerFile(join(folder, name));
    const checkpoint = await openCheckpoint(join(folder, name));
    try {
      return await openTokenizer(checkpoint);
    } finally {
      await checkpoint.close();
    }
  });
}

const idOf = (piece: string) => PIECES.indexOf(piece);
const encode = async (tokenizer: Tokenizer, of: string, specialTokens = false) => [
  ...(await tokenizer.encode(of, { specialTokens })),
];
const bpeJson = (more: object = {}, model: object = {}) =>
  JSON.stringify({ model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'], ...model }, ...more });

describe('tokenizers', () => {
  for (const [name, content] of [
    ['model.gguf', llamaGguf()],
    ['tokenizer.bin', llama2cBytes()],
    ['tokenizer.model', sentencePieceBytes()],
  ] as const)
    it(`${name}: pieces merge by their scores, and characters that are no piece become bytes`, async () => {
      const tokenizer = await tokenizerOf(name, content);
      assert.deepEqual([tokenizer.vocabularySize, tokenizer.start, tokenizer.addsStart], [PIECES.length, 1, true]);
      assert.deepEqual(await encode(tokenizer, 'the'), [idOf('▁the')]);
      // A space is written in front, even of a text that begins with one.
      assert.deepEqual(await encode(tokenizer, ' the'), [idOf('▁'), idOf('▁the')]);
      assert.deepEqual(await encode(tokenizer, 'the\né'), [idOf('▁the'), 3 + 0x0a, 3 + 0xc3, 3 + 0xa9]);
      // "<s>" in the text is text, unless special tokens are asked for.
      assert.equal((await encode(tokenizer, '<s>')).length, 4);
      if (name !== 'tokenizer.bin') assert.deepEqual(await encode(tokenizer, '<s>the', true), [1, idOf('▁the')]);
      assert.deepEqual(await encode(tokenizer, ''), []);
      assert.deepEqual(await encode(tokenizer, '\ud800'), await encode(tokenizer, '\ufffd'));
    });

  it('a byte-level GGUF vocabulary merges by its list, inside the words of its kind', async () => {
    const qwen = await tokenizerOf('model.gguf', gpt2Gguf('qwen2'));
    const llama = await tokenizerOf('model.gguf', gpt2Gguf('llama-bpe'));
    assert.deepEqual(await encode(qwen, 'ab ab11'), [3, 4, 5, 5]);
    assert.deepEqual(await encode(llama, 'ab ab11'), [3, 4, 6]);
    assert.deepEqual([qwen.start, qwen.addsStart, llama.addsStart], [7, false, true]);
    assert.deepEqual(await encode(qwen, 'a<|end|>', true), [0, 7]);
  });

  it('the metadata of a GGUF file say whether a start token and a leading space are added', async () => {
    const no = Buffer.from([0]);
    const tokenizer = await tokenizerOf(
      'model.gguf',
      llamaGguf([
        ['add_bos_token', 7, no],
        ['add_space_prefix', 7, no],
        ['bos_token_id', 4, u32(2)],
      ]),
    );
    assert.deepEqual([tokenizer.start, tokenizer.addsStart], [2, false]);
    assert.deepEqual(await encode(tokenizer, 'the'), [idOf('t'), idOf('he')]);
  });

  it('a list in the metadata of a GGUF file is read when it is asked for', async () => {
    await inFolder(
      { 'model.gguf': llamaGguf([['flags', 9, Buffer.concat([u32(7), u64(2), Buffer.from([1, 0])])]]) },
      async (folder) => {
        const checkpoint = await openCheckpoint(join(folder, 'model.gguf'));
        assert.deepEqual(await checkpoint.list!('tokenizer.ggml.tokens'), PIECES);
        assert.deepEqual(await checkpoint.list!('tokenizer.ggml.flags'), Float64Array.of(1, 0));
        assert.deepEqual(await checkpoint.list!('tokenizer.ggml.scores'), Float64Array.from(SCORES));
        assert.equal(await checkpoint.list!('tokenizer.ggml.model'), undefined);
        await checkpoint.close();
      },
    );
  });

  it('the post-processor of a tokenizer.json says whether a start token is added', async () => {
    const single = [{ SpecialToken: { id: 'b', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }];
    const template = { type: 'TemplateProcessing', single, pair: single, special_tokens: {} };
    const adding = await tokenizerOf('tokenizer.json', bpeJson({ post_processor: template }));
    assert.deepEqual([adding.start, adding.addsStart, await encode(adding, 'ab')], [1, true, [2]]);
    assert.equal((await tokenizerOf('tokenizer.json', bpeJson())).addsStart, false);
  });

  it('a tokenizer beside the checkpoint is found, and its absence is said', async () => {
    const plain = ggufWith([]);
    await inFolder({ 'model.gguf': plain, 'tokenizer.json': bpeJson() }, async (folder) => {
      const checkpoint = await openCheckpoint(join(folder, 'model.gguf'));
      assert.equal((await openTokenizer(checkpoint)).kind, 'tokenizer.json, BPE');
      await checkpoint.close();
    });
    await assert.rejects(tokenizerOf('model.gguf', plain), { code: 'not-found', message: /tokenizer\.json.*--ids/ });
  });

  it('a kind that is not known is refused by its name', async () => {
    const refused = async (name: string, content: Uint8Array | string, found: RegExp) =>
      assert.rejects(tokenizerOf(name, content), { code: 'unsupported', message: found });
    await refused('model.gguf', gpt2Gguf('strange-bpe'), /"strange-bpe"/);
    await refused(
      'model.gguf',
      ggufWith([
        ['model', 8, text('rwkv')],
        ['tokens', 9, texts(['a'])],
      ]),
      /"rwkv"/,
    );
    await refused('tokenizer.model', sentencePieceBytes(1), /unigram/);
    await refused('tokenizer.json', bpeJson({ pre_tokenizer: { type: 'UnicodeScripts' } }), /"UnicodeScripts"/);
  });

  it('a vocabulary that contradicts itself is refused with what was found', async () => {
    const refused = async (name: string, content: Uint8Array | string, found: RegExp) =>
      assert.rejects(tokenizerOf(name, content), { code: 'malformed', message: found });
    const gpt2 = (key: string, value: Buffer) =>
      ggufWith([
        ['model', 8, text('gpt2')],
        ...(
          [
            ['tokens', 9, texts(['a', 'b'])],
            ['merges', 9, texts([])],
          ] as const
        ).filter(([each]) => each !== key),
        [key, 9, value],
      ]);
    await refused('model.gguf', gpt2('merges', texts(['a c'])), /"ac"|"c"/);
    await refused('model.gguf', gpt2('merges', texts(['ab'])), /merge "ab"/);
    await refused('model.gguf', gpt2('merges', integers([1])), /merges is not a list of texts/);
    await refused('model.gguf', gpt2('tokens', integers([1])), /tokens is not a list of texts/);
    await refused('model.gguf', gpt2('token_type', integers([1])), /2 tokens, but types of 1/);
    await refused('tokenizer.json', '{}', /no tokenizer model/);
    await refused('tokenizer.json', '{', /not valid JSON/);
    await refused('tokenizer.json', bpeJson({}, { merges: [['a', 'c']] }), /"ac"/);
    await refused('tokenizer.json', bpeJson({}, { vocab: { a: -1 } }), /id -1/);
    await refused('tokenizer.json', bpeJson({}, { vocab: { a: 1e12 } }), /id 1000000000000/);
    await refused('tokenizer.json', bpeJson({ normalizer: { type: 'Odd' } }), /could not be understood/);
    const pattern = { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' };
    await refused('tokenizer.json', bpeJson({ pre_tokenizer: pattern }), /pattern/);
    await refused('tokenizer.bin', llama2cBytes().subarray(0, 50), /ends inside token/);
    await refused('tokenizer.model', sentencePieceBytes().subarray(0, 100), /ends inside a field/);
  });

  it('every cut of a file gives an error or a tokenizer, never a crash', async () => {
    for (const [name, whole] of [
      ['tokenizer.bin', llama2cBytes()],
      ['tokenizer.model', sentencePieceBytes()],
      ['tokenizer.json', Buffer.from(bpeJson())],
    ] as const)
      await inFolder({}, async (folder) => {
        const { writeFileSync } = await import('node:fs');
        const file = join(folder, name);
        for (let length = 0; length < whole.length; length += 1 + Math.floor(whole.length / 60)) {
          writeFileSync(file, whole.subarray(0, length));
          await openTokenizerFile(file).then(
            (tokenizer) => assert.ok(tokenizer.vocabularySize > 0),
            (error) => assert.ok(['malformed', 'unsupported'].includes(error.code), String(error)),
          );
        }
      });
  });

  it('a megabyte of one letter, which is one word, takes a few seconds of processor time at most', async () => {
    const tokenizer = await tokenizerOf('tokenizer.json', bpeJson({}, { vocab: { a: 0, aa: 1 }, merges: ['a a'] }));
    const used = processorTime();
    assert.equal((await tokenizer.encode('a'.repeat(1 << 20))).length, 1 << 19);
    assert.ok(used() < 10_000, `${used()} ms`);
  }).timeout(30_000);

  it('encoding tells its progress and stops where it is cancelled', async () => {
    const tokenizer = await tokenizerOf('model.gguf', gpt2Gguf('qwen2'));
    const long = Array.from({ length: 200_000 }, (_, i) => `a${'b'.repeat(i % 40)}`).join(' ');
    const shares: number[] = [];
    await tokenizer.encode(long, { onProgress: (done) => shares.push(done) });
    assert.deepEqual(
      [...shares].sort((a, b) => a - b),
      shares,
    );
    assert.ok(shares.length > 2 && shares.at(-1) === 1, `${shares.length}`);
    const controller = new AbortController();
    const { signal } = controller;
    await assert.rejects(tokenizer.encode(long, { signal, onProgress: () => controller.abort() }), {
      code: 'cancelled',
    });
  }).timeout(20_000);

  it('a pattern that backtracks without end is stopped', async () => {
    const pattern = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' };
    const tokenizer = await tokenizerOf('tokenizer.json', bpeJson({ pre_tokenizer: pattern }));
    await assert.rejects(tokenizer.encode(`${'a'.repeat(40)}b`), { code: 'malformed', message: /come to an end/ });
  }).timeout(30_000);
});
