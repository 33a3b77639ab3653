import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { commandLinePolicy, editorPolicy } from '../../../src/service/devices/blasPolicy.ts';
import { testFolder } from '../formats/folder.ts';

describe('which libraries may be loaded', () => {
  const folder = testFolder();
  const line = (option: string | undefined, environment: Record<string, string>, paths: string[] = [], home = '/h') =>
    commandLinePolicy({ option, paths, cacheFolder: '/cache' }, environment, home);

  it('takes the option before the variable, and the setting too', () => {
    assert.deepEqual(line('/a.so', { RANKSCOPE_BLAS: '/b.so' }).named, { path: '/a.so', by: '--blas', anywhere: true });
    assert.equal(line(undefined, { RANKSCOPE_BLAS: '/b.so' }).named?.by, 'RANKSCOPE_BLAS');
    assert.equal(line('none', {}).named?.path, 'none');
    assert.equal(line('auto', { RANKSCOPE_BLAS: '/b.so' }).named, undefined);
    assert.equal(line(undefined, {}).named, undefined);
    const editor = editorPolicy({ setting: '/a.so', openFolders: ['/w'] }, { RANKSCOPE_BLAS: '/b.so' });
    assert.deepEqual(editor.named, { path: '/a.so', by: 'the setting rankscope.blas' });
    assert.equal(editorPolicy({ openFolders: [] }, { RANKSCOPE_BLAS: '/b.so' }).named?.path, '/b.so');
  });

  it('counts the current folder and those of the checkpoints as open on the command line, but no home', () => {
    const file = folder.write('models/a.safetensors', '');
    const models = dirname(file);
    assert.deepEqual(line(undefined, {}, [file]).openFolders, [process.cwd(), models]);
    assert.deepEqual(line(undefined, {}, [models]).openFolders, [process.cwd(), models]);
    assert.deepEqual(line(undefined, {}, [file], models).openFolders, [process.cwd()]);
    assert.deepEqual(line(undefined, {}, [file], `${process.cwd()}/home`).openFolders, [models]);
  });
});
