import { resolve } from 'node:path';
import esbuild from 'esbuild';

/**
 * Bundles test/vscode for a place that has neither TypeScript nor this project's dependencies; returns the bundle's
 * path.
 */
export async function bundleSuite(): Promise<string> {
  const outfile = resolve('test-output/vscode/index.cjs');
  await esbuild.build({
    entryPoints: ['test/vscode/index.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['vscode'],
    sourcemap: 'inline',
    // Mocha's parts for parallel runs, which are not used here, are warned of.
    logLevel: 'error',
  });
  return outfile;
}
