import assert from 'node:assert/strict';
import { type RuntimePlace, runtimes } from '../../../src/window/engine/runtimes.ts';

const place: RuntimePlace = {
  setting: '',
  extensionPath: '/ext',
  execPath: '/vscode/node',
  electron: false,
  platform: 'linux',
  exists: () => false,
  nodeOnPath: undefined,
};
const paths = (of: Partial<RuntimePlace>) => runtimes({ ...place, ...of }).map(({ execPath }) => execPath);

describe('the runtimes of the engine process', () => {
  it('are the setting, the bundled Node.js, the host and the PATH, in this order', () => {
    const all = { setting: '/mine', exists: () => true, nodeOnPath: { path: '/usr/bin/node', major: 22 } };
    assert.deepEqual(paths(all), ['/mine', '/ext/dist/node/bin/node', '/vscode/node', '/usr/bin/node']);
  });

  it('end with Electron as Node.js', () => {
    const electron = { electron: true, execPath: '/code', nodeOnPath: { path: '/usr/bin/node', major: 24 } };
    assert.deepEqual(paths(electron), ['/usr/bin/node', '/code']);
    assert.deepEqual(runtimes({ ...place, ...electron }).at(-1)?.env, { ELECTRON_RUN_AS_NODE: '1' });
  });

  it('leave out a node on the PATH that is too old', () => {
    assert.deepEqual(paths({ nodeOnPath: { path: '/usr/bin/node', major: 21 } }), ['/vscode/node']);
  });
});
