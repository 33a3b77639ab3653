import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce } from '../../../src/build/installOnce.ts';
import { testFolder } from '../formats/folder.ts';

describe('an installation', () => {
  const folder = testFolder();
  const fill = (text: string) => (place: string) => writeFileSync(join(place, 'file'), text);
  const installed = () => readFileSync(folder.path('home/file'), 'utf8');

  it('is made once', () => {
    installOnce(folder.path('home'), fill('first'));
    installOnce(folder.path('home'), () => assert.fail('it is there'));
    assert.equal(installed(), 'first');
  });

  it('is nowhere after it failed, and can be made again', () => {
    const failing = () => {
      throw new Error('no registry');
    };
    assert.throws(() => installOnce(folder.path('home'), failing), /no registry/);
    assert.deepEqual(readdirSync(folder.path()), []);
    installOnce(folder.path('home'), fill('second'));
    assert.equal(installed(), 'second');
  });

  it('takes nothing from one that was interrupted, and removes its remains', () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const remains = folder.path(`home.partial-${pid}`);
    mkdirSync(remains);
    fill('half')(remains);
    installOnce(folder.path('home'), fill('whole'));
    assert.equal(installed(), 'whole');
    assert.ok(!existsSync(remains));
  });

  it('is that of the first of two processes to finish', () => {
    installOnce(folder.path('home'), (place) => {
      fill('slow')(place);
      mkdirSync(folder.path('home'));
      fill('fast')(folder.path('home'));
    });
    assert.equal(installed(), 'fast');
    assert.deepEqual(readdirSync(folder.path()), ['home']);
  });
});
