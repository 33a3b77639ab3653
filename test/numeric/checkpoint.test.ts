import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/open.ts';
import { exactSpectrum } from '../../src/spectrum/exact.ts';
import { BACKENDS } from './backends.ts';
import { checkValues } from './checks.ts';

const checkpoints = process.env.RANKSCOPE_CHECKPOINTS ?? resolve('..', 'shared', 'checkpoints');
const python = process.env.RANKSCOPE_PYTHON;
const FILES = [
  ['stories260K-hf', 'model.safetensors'],
  ['retsim-dtypes', 'retsim.bf16.safetensors'],
  ['retsim-dtypes', 'retsim.f64.safetensors'],
] as const;

describe('real weights', () => {
  for (const parts of FILES) {
    const file = join(checkpoints, ...parts);
    const missing = [
      existsSync(file) ? '' : `no ${file}: set RANKSCOPE_CHECKPOINTS`,
      python ? '' : 'set RANKSCOPE_PYTHON to a Python with torch and safetensors',
    ].filter(Boolean);
    for (const { name: engine, open } of BACKENDS.filter(({ workLimit }) => workLimit > 1e8)) {
      const title = `every matrix of ${parts.join('/')} on ${engine} has the singular values of LAPACK in f64`;
      if (missing.length > 0) {
        it.skip(`${title} (${missing.join('; ')})`);
        continue;
      }
      it(title, async () => {
        const truth = lapackOf(file);
        assert.ok(Object.keys(truth).length >= 10);
        const backend = await open();
        const checkpoint = await openCheckpoint(file);
        try {
          for (const [name, values] of Object.entries(truth)) {
            const tensor = checkpoint.tensors.find((candidate) => candidate.name === name);
            assert.ok(tensor, name);
            const [rows, cols] = tensor.shape as [number, number];
            const { singularValues } = await exactSpectrum(backend, {
              name,
              rows,
              cols,
              read: (row, out, signal) => tensor.read(row * cols, out, signal),
            });
            checkValues(singularValues, values, { rows, cols });
          }
        } finally {
          await checkpoint.close();
          await backend.close();
        }
      }).timeout(120_000);
    }
  }
});

const known = new Map<string, Record<string, number[]>>();

function lapackOf(file: string): Record<string, number[]> {
  const script = join(import.meta.dirname, 'checkpointLapack.py');
  const run = () => JSON.parse(execFileSync(python!, [script, file], { maxBuffer: 2 ** 28 }).toString());
  return known.get(file) ?? known.set(file, run()).get(file)!;
}
