import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { readTokenIds } from '../../../../src/network/tokenizer/tokenIds.ts';
import { inFolder } from './inFolder.ts';

const read = (content: string | Uint8Array) =>
  inFolder({ 'ids.txt': content }, async (folder) => [...(await readTokenIds(join(folder, 'ids.txt')))]);

describe('a file of token ids', () => {
  it('is a JSON array, or numbers with spaces, line breaks or commas between them', async () => {
    for (const content of ['[1, 20,3]', '1 20 3', '1\n20\r\n3\n', ' 1,20 , 3', '\ufeff[1,20,3]\n', '\t1\t20\t3'])
      assert.deepEqual(await read(content), [1, 20, 3], JSON.stringify(content));
  });

  it('keeps every list of ids', async () => {
    const ids = fc.array(fc.integer({ min: 0, max: (1 << 21) - 1 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(ids, async (list) => {
        assert.deepEqual(await read(JSON.stringify(list)), list);
        assert.deepEqual(await read(list.join(' ')), list);
      }),
      { numRuns: 30 },
    );
  });

  it('an error says what is wrong, and where', async () => {
    for (const [content, found] of [
      ['', /no ids/],
      ['[]', /no ids/],
      ['[1, 2', /not closed/],
      ['[1, 2,]', /id is missing at byte 6/],
      ['[1 2]', /byte 3 does not follow/],
      ['1 2]', /closes no array/],
      ['[1] 2', /follows its array at byte 4/],
      ['1 -2', /negative \("-2"\)/],
      ['1 2.5', /byte 3 does not follow an id \("\.5"\)/],
      ['[[1]]', /byte 1 is not/],
      ['1 two', /byte 2 is not/],
      ['99999999999', /at byte 0 is 2097152 or more/],
      ['{"ids": [1]}', /byte 0 is not/],
    ] as const)
      await assert.rejects(read(content), { code: 'malformed', message: found }, content);
  });
});
