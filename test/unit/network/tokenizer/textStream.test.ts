import assert from 'node:assert/strict';
import { join } from 'node:path';
import { TextStream } from '../../../../src/network/tokenizer/decoding/textStream.ts';
import { openTokenizerFile } from '../../../../src/network/tokenizer/openTokenizer.ts';
import type { Tokenizer } from '../../../../src/network/tokenizer/tokenizer.ts';
import { inFolder } from './inFolder.ts';
import { PIECES, sentencePieceBytes } from './vocabularies.ts';

const withTokenizer = (use: (tokenizer: Tokenizer) => void | Promise<void>) =>
  inFolder({ 'tokenizer.model': sentencePieceBytes() }, async (folder) =>
    use(await openTokenizerFile(join(folder, 'tokenizer.model'))),
  );

describe('a text that comes token by token', () => {
  it('holds a character back until all tokens of its bytes have come', () =>
    withTokenizer(async (tokenizer) => {
      const ids = [...(await tokenizer.encode('the 漢字 é🙂a'))];
      const stream = new TextStream(tokenizer);
      const given = ids.map((id) => stream.push(id));
      assert.equal(given.join('') + stream.end(), 'the 漢字 é🙂a');
      assert.ok(given.every((text) => !text.includes('\uFFFD')));
      assert.ok(given.filter((text) => text === '').length >= 8, 'bytes inside characters give nothing');
    }));

  it('keeps the space of a first token that continues a text', () =>
    withTokenizer((tokenizer) => {
      const the = PIECES.indexOf('▁the');
      assert.equal(new TextStream(tokenizer).push(the), 'the');
      assert.equal(new TextStream(tokenizer, [the]).push(the), ' the');
    }));

  it('ends with unreadable characters for bytes that never become a character', () =>
    withTokenizer((tokenizer) => {
      const byte = (value: string) => PIECES.indexOf(`<0x${value}>`);
      const stream = new TextStream(tokenizer);
      assert.deepEqual([stream.push(byte('E6')), stream.push(byte('BC')), stream.end()], ['', '', '\uFFFD\uFFFD']);
    }));
});
