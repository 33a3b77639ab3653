import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { forgetBlas, Memory } from '../../../../src/devices/cpu/blas/memory.ts';
import { testFolder } from '../../formats/folder.ts';

const isText = (value: unknown): value is string => typeof value === 'string';

describe('what is remembered of libraries', () => {
  const folder = testFolder();
  const recall = (key: string, hours = 24) => new Memory(folder.path()).get(key, isText, () => hours);

  it('outlives the process, until it is too old or forgotten', () => {
    const memory = new Memory(folder.path());
    memory.set('a', 'first');
    memory.set('a', 'second');
    assert.equal(
      memory.get('a', isText, () => 1),
      'second',
    );
    assert.equal(recall('a'), 'second');
    assert.equal(recall('a', 0), undefined);
    assert.equal(recall('b'), undefined);
    assert.deepEqual(readdirSync(folder.path()), ['blas.json']);
    forgetBlas(folder.path());
    assert.equal(recall('a'), undefined);
  });

  it('is kept for this process where there is no folder, or one that cannot be written', () => {
    for (const place of [undefined, folder.write('file', '')]) {
      const memory = new Memory(place);
      memory.set('a', 'kept');
      assert.equal(
        memory.get('a', isText, () => 1),
        'kept',
      );
    }
  });

  it('is nothing where the file is damaged or holds something else', () => {
    new Memory(folder.path()).set('a', { not: 'a text' });
    assert.equal(recall('a'), undefined);
    const good = readFileSync(folder.path('blas.json'), 'utf8');
    const future = JSON.stringify({
      format: 'rankscope.blas/1',
      entries: [['a', { at: Date.now() + 1e9, value: 'x' }]],
    });
    const damaged = [
      good.slice(0, -5),
      '',
      '[]',
      '{}',
      'null',
      good.replace('[[', '[null,['),
      good.replace('/1', '/2'),
    ];
    for (const text of [...damaged, future]) {
      writeFileSync(folder.path('blas.json'), text);
      assert.equal(recall('a'), undefined, text);
    }
  });

  it('is bounded', () => {
    const memory = new Memory(folder.path());
    for (let i = 0; i < 100; i++) memory.set(`${i}`, 'x');
    assert.equal(recall('0'), undefined);
    assert.equal(recall('99'), 'x');
    assert.ok(readFileSync(folder.path('blas.json')).length < 10_000);
  });
});
