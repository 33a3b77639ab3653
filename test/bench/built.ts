import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Bundles a side of a comparison as the product is bundled, so that its time and memory are those of what people run:
 * from source, each worker thread would hold a compiler.
 * @param file beside this one
 * @returns its path in dist/, where it finds the kernels
 */
export async function built(file: string): Promise<string> {
  const outfile = fileURLToPath(new URL(join('../../dist', `${basename(file, '.ts')}.mjs`), import.meta.url));
  const require = `import { createRequire as createBenchRequire } from 'node:module'; const require = createBenchRequire(import.meta.url);`;
  await build({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    banner: { js: require },
    external: ['vscode', 'webgpu', 'koffi', 'onnxruntime-node', '@tensorflow/*'],
    logLevel: 'error',
  });
  return outfile;
}
