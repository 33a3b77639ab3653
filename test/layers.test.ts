import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What each folder may import; `node` stands for Node's own modules. The picture is in src/README.md. */
const ARROWS: Record<string, readonly string[]> = {
  'src/base': [],
  'src/formats': ['src/base', 'node'],
  'src/engine': ['src/base', 'node'],
  'src/spectrum': ['src/base', 'src/engine/backend.ts'],
  'src/model': ['src/base'],
  'src/write': ['src/base', 'src/formats', 'src/spectrum', 'src/model', 'node'],
  'src/protocol': ['src/base', 'src/model'],
  'src/service': [
    'src/base',
    'src/formats',
    'src/engine',
    'src/spectrum',
    'src/model',
    'src/write',
    'src/protocol',
    'node',
  ],
  'src/process': ['src/service', 'src/protocol', 'src/base', 'src/model', 'src/engine/choose.ts', 'node'],
  'src/cli': ['src/service', 'src/protocol', 'src/base', 'src/model', 'src/engine/choose.ts', 'node'],
  'src/vscode': ['src/base', 'src/model', 'src/protocol', 'node', 'vscode'],
  'src/build': ['node'],
  webview: ['src/base', 'src/model', 'src/protocol'],
};
/** Types alone may come from these as well: they leave no arrow in what runs. */
const TYPE_ARROWS: Record<string, readonly string[]> = {
  'src/model': ['src/formats', 'src/spectrum'],
  'src/spectrum': ['src/model'],
};
/** Packages that only one place may import. */
const CONFINED: Record<string, string> = {
  vscode: 'src/vscode',
  '@vscode/webview-ui-toolkit': 'webview/controls.ts',
  webgpu: 'src/engine/webgpu',
  '@tensorflow/tfjs-node-gpu': 'src/engine/tensorflow',
  'onnxruntime-node': 'src/engine',
};

const IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/gm;

function importsOf(file: string) {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((match) => {
    const name = match[2] ?? match[3] ?? '';
    const target = name.startsWith('.') ? path.posix.normalize(path.posix.join(path.posix.dirname(file), name)) : name;
    return { target: target.startsWith('node:') ? 'node' : target, typeOnly: match[1] !== undefined };
  });
}

const inside = (target: string, place: string) => target === place || target.startsWith(`${place}/`);

describe('layers', () => {
  const files = ['src', 'webview']
    .flatMap((root) => (readdirSync(root, { recursive: true }) as string[]).map((file) => `${root}/${file}`))
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => !file.startsWith('src/engine/wasm/kernels/'));

  it('sees the source', () => assert.ok(files.length > 10));

  for (const [folder, allowed] of Object.entries(ARROWS)) {
    it(`${folder} imports only ${allowed.join(', ') || 'nothing'}`, () => {
      const wrong = files
        .filter((file) => inside(file, folder))
        .flatMap((file) => importsOf(file).map((to) => ({ file, ...to })))
        .filter(
          ({ target }) =>
            target === 'node' || target === 'vscode' || inside(target, 'src') || inside(target, 'webview'),
        )
        .filter(({ target }) => !inside(target, folder) && !allowed.some((place) => inside(target, place)))
        .filter(({ target, typeOnly }) => !(typeOnly && TYPE_ARROWS[folder]?.some((place) => inside(target, place))));
      assert.deepEqual(wrong, []);
    });
  }

  it('every folder has its rule', () => {
    const folders = new Set(
      files.map((file) => (inside(file, 'webview') ? 'webview' : file.split('/').slice(0, 2).join('/'))),
    );
    assert.deepEqual(
      [...folders].filter((folder) => !(folder in ARROWS)),
      [],
    );
  });

  it('weak and heavy packages are imported in one place', () => {
    const wrong = files
      .flatMap((file) => importsOf(file).map(({ target }) => ({ file, target })))
      .filter(({ file, target }) => CONFINED[target] !== undefined && !inside(file, CONFINED[target]));
    assert.deepEqual(wrong, []);
  });
});
