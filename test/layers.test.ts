import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** What each folder may import; `node` stands for Node's own modules. src/README.md has the picture. */
const ARROWS: Record<string, readonly string[]> = {
  'src/base': [],
  'src/bytes': ['src/base', 'node'],
  'src/files': ['src/base', 'node'],
  'src/devices': ['src/base', 'src/files', 'node'],
  'src/formats': [
    'src/base',
    'src/bytes',
    'src/checkpoint/checkpoint.ts',
    'src/checkpoint/tensor.ts',
    'src/checkpoint/storedTensor.ts',
    'src/checkpoint/quantized/packedTensor.ts',
    'node',
  ],
  'src/checkpoint': ['src/base', 'src/bytes', 'src/formats/registry.ts', 'node'],
  'src/spectrum': ['src/base', 'src/devices/backend.ts'],
  'src/model': ['src/base'],
  'src/adapters': ['src/base', 'src/bytes', 'src/checkpoint', 'src/model', 'src/spectrum', 'node'],
  'src/network': [
    'src/base',
    'src/bytes',
    'src/checkpoint',
    'src/formats/gguf',
    'src/devices/backend.ts',
    'src/devices/rowSummaries.ts',
    'src/model',
    'node',
  ],
  'src/activations': ['src/base', 'src/bytes', 'src/checkpoint', 'src/model'],
  'src/write': ['src/base', 'src/files', 'src/checkpoint', 'src/spectrum', 'src/model', 'node'],
  'src/protocol': ['src/base', 'src/model'],
  'src/service': [
    'src/base',
    'src/files',
    'src/checkpoint',
    'src/devices',
    'src/spectrum',
    'src/model',
    'src/adapters',
    'src/network',
    'src/activations',
    'src/write',
    'src/protocol',
    'node',
  ],
  'src/process': ['src/service', 'src/protocol', 'node'],
  'src/cli': ['src/service', 'src/protocol', 'src/base', 'src/files', 'src/model', 'node'],
  'src/code': ['src/base', 'src/model', 'src/protocol', 'node'],
  'src/window': ['src/base', 'src/files', 'src/model', 'src/protocol', 'src/code', 'node'],
  'src/vscode': ['src/base', 'src/protocol', 'src/window', 'src/code', 'node', 'vscode'],
  'src/build': ['node'],
  webview: ['src/base', 'src/model', 'src/protocol'],
};
/** Types alone may also come from these: they leave no trace in what runs. */
const TYPE_ARROWS: Record<string, readonly string[]> = {
  'src/checkpoint': ['src/formats/format.ts'],
  'src/model': ['src/checkpoint', 'src/adapters', 'src/devices/backend.ts'],
  'src/adapters': ['src/devices/backend.ts'],
  'src/service': ['src/bytes'],
  'src/spectrum': ['src/model'],
};
/** Packages that only one place may import. */
const CONFINED: Record<string, string> = {
  vscode: 'src/vscode',
  '@vscode/webview-ui-toolkit': 'webview/ui/controls.ts',
  webgpu: 'src/devices/webgpu',
  koffi: 'src/devices/cpu/blas',
  '@tensorflow/tfjs-node-gpu': 'src/devices/tensorflow',
};

const IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/gm;

function importsOf(file: string) {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((match) => {
    const name = match[2] ?? match[3] ?? '';
    const target = name.startsWith('.') ? posix.normalize(posix.join(posix.dirname(file), name)) : name;
    return { target: target.startsWith('node:') ? 'node' : target, typeOnly: match[1] !== undefined };
  });
}

const inside = (target: string, place: string) => target === place || target.startsWith(`${place}/`);
const roomOf = (file: string) => (inside(file, 'webview') ? 'webview' : file.split('/').slice(0, 2).join('/'));

describe('layers', () => {
  const files = ['src', 'webview']
    .flatMap((root) => (readdirSync(root, { recursive: true }) as string[]).map((file) => `${root}/${file}`))
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => !file.startsWith('src/devices/cpu/kernels/'));
  const imports = files.flatMap((file) => importsOf(file).map((to) => ({ file, ...to })));
  /** Imports that lead into another room. */
  const arrows = imports.filter(
    ({ file, target }) =>
      (target === 'node' || target === 'vscode' || inside(target, 'src') || inside(target, 'webview')) &&
      roomOf(target) !== roomOf(file),
  );

  it('sees the source', () => assert.ok(files.length > 100 && arrows.length > 100));

  for (const [folder, allowed] of Object.entries(ARROWS)) {
    const types = TYPE_ARROWS[folder] ?? [];
    const own = () => arrows.filter(({ file }) => inside(file, folder));

    it(`${folder} imports only ${allowed.join(', ') || 'nothing'}`, () => {
      const permitted = (target: string, places: readonly string[]) => places.some((place) => inside(target, place));
      const wrong = own()
        .filter(({ target }) => !permitted(target, allowed))
        .filter(({ target, typeOnly }) => !(typeOnly && permitted(target, types)));
      assert.deepEqual(wrong, []);
    });

    it(`${folder} needs every arrow it is granted`, () => {
      const used = (place: string, typeOnly: boolean) =>
        own().some((arrow) => inside(arrow.target, place) && (!typeOnly || arrow.typeOnly));
      const unused = [
        ...allowed.filter((place) => !used(place, false)),
        ...types.filter((place) => !used(place, true)),
      ];
      assert.deepEqual(unused, []);
    });
  }

  it('every folder has its rule', () => {
    const folders = new Set(files.map(roomOf));
    assert.deepEqual(
      [...folders].filter((folder) => !(folder in ARROWS)),
      [],
    );
  });

  it('every file of src/vscode imports vscode', () => {
    const without = files.filter(
      (file) => inside(file, 'src/vscode') && !imports.some((each) => each.file === file && each.target === 'vscode'),
    );
    assert.deepEqual(without, []);
  });

  it('keeps comments within 120 columns', () => {
    const tests = (readdirSync('test', { recursive: true }) as string[]).map((file) => `test/${file}`);
    const scripts = (readdirSync('src/build', { recursive: true }) as string[]).map((file) => `src/build/${file}`);
    const others = [...tests, ...scripts].filter((file) => /\.(ts|mjs)$/.test(file) && !files.includes(file));
    const wide = [...files, ...others].flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line, row) => (line.length > 120 && /^\s*(\*|\/[/*])/.test(line) ? [`${file}:${row + 1}`] : [])),
    );
    assert.deepEqual(wide, []);
  });

  it('no files import each other in a circle, types included', () => {
    const targets = new Map(files.map((file) => [file, [] as string[]]));
    for (const { file, target } of imports) if (targets.has(target)) targets.get(file)!.push(target);
    assert.deepEqual(circles(targets), []);
  });

  it('weak and heavy packages are imported in one place', () => {
    const wrong = imports.filter(
      ({ file, target }) => CONFINED[target] !== undefined && !inside(file, CONFINED[target]),
    );
    assert.deepEqual(wrong, []);
  });

  it('every confined package is a dependency', () => {
    const {
      dependencies = {},
      devDependencies,
      peerDependencies,
      optionalDependencies,
    } = JSON.parse(readFileSync('package.json', 'utf8'));
    const known = { ...dependencies, ...devDependencies, ...peerDependencies, ...optionalDependencies, vscode: '' };
    assert.deepEqual(
      Object.keys(CONFINED).filter((name) => !(name in known)),
      [],
    );
  });
});

/** The strongly connected components of more than one node (Tarjan 1972), by depth-first search. */
function circles(targets: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const path: string[] = [];
  const found: string[][] = [];
  /** The earliest node on the current path that can be reached from `node`. */
  const visit = (node: string): number => {
    const own = order.size;
    order.set(node, own);
    path.push(node);
    let earliest = own;
    for (const target of targets.get(node) ?? []) {
      if (!order.has(target)) earliest = Math.min(earliest, visit(target));
      else if (path.includes(target)) earliest = Math.min(earliest, order.get(target)!);
    }
    if (earliest === own) {
      const members = path.splice(path.indexOf(node));
      if (members.length > 1) found.push(members);
    }
    return earliest;
  };
  for (const node of targets.keys()) if (!order.has(node)) visit(node);
  return found;
}
