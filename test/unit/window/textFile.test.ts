import assert from 'node:assert/strict';
import { textFileOf } from '../../../src/window/textFile.ts';
import { testFolder } from '../formats/folder.ts';

describe('a file that is chosen where a text is asked for', () => {
  const folder = testFolder();

  it('is a file of token ids if it is a list of numbers, whatever its name and length', async () => {
    const long = JSON.stringify(Array.from({ length: 5000 }, (_, id) => id));
    for (const [name, content] of [
      ['a.json', '[1, 2, 3]'],
      ['a.txt', '\uFEFF [\n 1,\n 2\n]\n'],
      ['long.json', long],
      ['nested.json', '[[1, 2], [3]]'],
      ['a.ids', '1 2 3\n4 5 6'],
    ] as const) {
      const file = folder.write(name, content);
      assert.deepEqual(await textFileOf(file), { ids: file }, name);
    }
  });

  it('is a text in all other cases, also where it cannot be read', async () => {
    for (const [name, content] of [
      ['story.txt', 'Once upon a time there were [1, 2] bears.'],
      ['numbers.txt', '1 2 3'],
      ['data.json', '[{"text": "Once"}]'],
      ['notes.md', '[1] is a reference.'],
      ['empty.txt', ''],
      ['empty.ids', ''],
    ] as const) {
      const file = folder.write(name, content);
      assert.deepEqual(await textFileOf(file), { text: file }, name);
    }
    for (const file of [folder.path('missing.txt'), folder.path()])
      assert.deepEqual(await textFileOf(file), { text: file });
    assert.deepEqual(await textFileOf(''), {}, 'the model writes the text');
  });
});
