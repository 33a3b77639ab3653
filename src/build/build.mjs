// Builds dist/: kernels, the extension, the engine process, its workers, the command line and the pages.
//   node src/build/build.mjs [--watch] [--minify]
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import esbuild from 'esbuild';

const watch = process.argv.includes('--watch');
const shared = {
  bundle: true,
  outdir: 'dist',
  sourcemap: true,
  minify: process.argv.includes('--minify'),
  legalComments: 'none',
  logLevel: 'info',
};
// A CommonJS dependency inside an ES module bundle still calls require.
const require = `import { createRequire as createRankscopeRequire } from 'node:module'; const require = createRankscopeRequire(import.meta.url);`;
const node = {
  ...shared,
  platform: 'node',
  target: 'node20',
  external: ['vscode', 'webgpu', 'koffi', 'onnxruntime-node', '@tensorflow/*'],
};

const bundles = [
  {
    ...node,
    format: 'cjs',
    entryPoints: { extension: 'src/vscode/extension.ts', codeWorker: 'src/code/worker.ts' },
    outExtension: { '.js': '.cjs' },
    // The parser's ES module asks import.meta for its place, which a CommonJS bundle does not have.
    alias: { 'web-tree-sitter': resolve('node_modules/web-tree-sitter/web-tree-sitter.cjs') },
  },
  {
    ...node,
    format: 'esm',
    splitting: false,
    banner: { js: `#!/usr/bin/env node\n${require}` },
    entryPoints: {
      engine: 'src/process/main.ts',
      cli: 'src/cli/main.ts',
      kernelWorker: 'src/devices/cpu/worker.ts',
      blasProbe: 'src/devices/cpu/blas/probeMain.ts',
    },
  },
  {
    ...shared,
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    outdir: 'dist/webview',
    entryPoints: {
      inspector: 'webview/inspector/inspector.ts',
      plan: 'webview/plan/plan.ts',
      comparison: 'webview/comparison/comparison.ts',
      sharing: 'webview/sharing/sharing.ts',
      diff: 'webview/diff/diff.ts',
      training: 'webview/training/training.ts',
      lora: 'webview/lora/lora.ts',
      evaluation: 'webview/evaluation/evaluation.ts',
      compression: 'webview/compression/compression.ts',
    },
    loader: { '.css': 'css' },
  },
];

mkdirSync('dist', { recursive: true });
execFileSync(process.execPath, ['src/build/kernels.mjs'], { stdio: 'inherit' });
cpSync('src/devices/webgpu/kernels', 'dist/webgpu', { recursive: true });
cpSync('src/write/python', 'dist/python', { recursive: true });
cpSync('node_modules/web-tree-sitter/web-tree-sitter.wasm', 'dist/web-tree-sitter.wasm');
cpSync('node_modules/@vscode/tree-sitter-wasm/wasm/tree-sitter-python.wasm', 'dist/tree-sitter-python.wasm');
if (watch) for (const bundle of bundles) await (await esbuild.context(bundle)).watch();
else await Promise.all(bundles.map((bundle) => esbuild.build(bundle)));
