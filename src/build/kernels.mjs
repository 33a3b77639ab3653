// Builds the WASM kernels, one file for each kind of processor and runtime:
//   kernels.simd.wasm     128-bit SIMD, every Node
//   kernels.relaxed.wasm  fused multiply-add (relaxed SIMD)
//   kernels.wide.wasm     the same with tiles shaped for V8's 256-bit revectorizer
import { mkdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const source = join(root, 'src/devices/cpu/kernels/index.ts');
const builds = {
  simd: ['--use', 'WIDE=0'],
  relaxed: ['--use', 'WIDE=0', '--enable', 'relaxed-simd'],
  wide: ['--use', 'WIDE=1', '--enable', 'relaxed-simd'],
};

mkdirSync(join(root, 'dist'), { recursive: true });
for (const [name, flags] of Object.entries(builds)) {
  const { error, stderr } = await asc.main([
    relative(root, source),
    ...['--baseDir', root, '--outFile', `dist/kernels.${name}.wasm`, '-O3', '--noAssert', '--runtime', 'stub'],
    ...['--enable', 'simd', '--enable', 'threads', '--importMemory', '--sharedMemory'],
    ...['--initialMemory', '64', '--maximumMemory', '65536', ...flags],
  ]);
  if (error) {
    process.stderr.write(`${stderr}\n`);
    process.exit(1);
  }
}
