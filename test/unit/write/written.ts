import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import type { Checkpoint } from '../../../src/formats/checkpoint.ts';
import { openCheckpoint } from '../../../src/formats/open.ts';
import { makePlan } from '../../../src/model/allocate.ts';
import { anatomy, type MatrixRef } from '../../../src/model/anatomy.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan.ts';
import { countParameters, ties, untied } from '../../../src/model/ties.ts';
import type { Triplets } from '../../../src/write/factorTensors.ts';

/** A folder of its own for one test file, removed at the end. */
export function scratchFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-write-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What a test needs to write a checkpoint as factors: the real reader, names, reference decomposition and plan. */
export interface Prepared {
  readonly checkpoint: Checkpoint;
  readonly matrices: readonly MatrixRef[];
  readonly groups: readonly (readonly string[])[];
  plan(request: Partial<PlanRequest>): Promise<Plan>;
  readonly factorsOf: (matrix: MatrixRef, rank: number) => Promise<Triplets>;
}

export async function prepare(file: string): Promise<Prepared> {
  const checkpoint = await openCheckpoint(file);
  const groups = ties(checkpoint.tensors);
  const { matrices } = anatomy(untied(checkpoint.tensors, groups));
  const backend = createReferenceBackend();
  const decompose = async ({ tensor, rows, cols, offset, transposed }: MatrixRef, rank: number) => {
    const matrix = await backend.allocate(rows, cols);
    await backend.upload(matrix, 0, rows, (out) => checkpoint.read(tensor, offset, out));
    const { left, values, right } = await backend.svd(matrix, rank);
    backend.free(matrix);
    return transposed ? { left: right, values, right: left } : { left, values, right };
  };
  const spectra = new Map<string, Promise<Float64Array>>();
  const spectrumOf = (matrix: MatrixRef) => {
    const known = spectra.get(matrix.name) ?? decompose(matrix, Math.min(...matrix.shape)).then(({ values }) => values);
    spectra.set(matrix.name, known);
    return known;
  };
  return {
    checkpoint,
    matrices,
    groups,
    factorsOf: decompose,
    async plan(request) {
      const inputs = [];
      for (const matrix of matrices)
        inputs.push({
          name: matrix.name,
          shape: matrix.shape,
          bytesPerElement: matrix.tensor.bytes / (matrix.rows * matrix.cols),
          singularValues: matrix.fixed ? [] : await spectrumOf(matrix),
          fixed: matrix.fixed,
        });
      const { path: file, format, bytes } = checkpoint;
      const parameters = countParameters(checkpoint.tensors, groups);
      return makePlan({ path: file, format, bytes, parameters }, inputs, {
        budget: { kind: 'keep', value: 0.6 },
        spread: 'optimal',
        multiple: 1,
        exclude: [],
        overrides: {},
        factors: 2,
        ...request,
      });
    },
  };
}
