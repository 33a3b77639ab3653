import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SingularTriplets } from '../../../src/base/singularTriplets.ts';
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import { equalContent } from '../../../src/checkpoint/equalContent.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { countParameters, ties, untied } from '../../../src/checkpoint/ties.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { nameMatcher } from '../../../src/model/globs.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import type { StoredMatrix } from '../../../src/model/storedMatrix.ts';
import { stored } from '../model/tensors.ts';

/** A folder of its own for one test file, removed at the end. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-write-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What a test needs to write a checkpoint as factors: the real reader, names, reference decomposition and plan. */
export interface Prepared {
  readonly checkpoint: Checkpoint;
  readonly matrices: readonly StoredMatrix[];
  readonly ties: readonly (readonly string[])[];
  plan(request: Partial<PlanRequest>): Promise<Plan>;
  readonly factorsOf: (matrix: StoredMatrix, rank: number) => Promise<SingularTriplets>;
}

export async function prepare(file: string): Promise<Prepared> {
  const checkpoint = await openCheckpoint(file);
  const groups = ties(checkpoint.tensors, await equalContent(checkpoint.tensors));
  const matrices = stored(anatomy(untied(checkpoint.tensors, groups)).matrices);
  const backend = createReferenceBackend();
  const decompose = async ({ tensor, rows, cols, offset, transposed }: StoredMatrix): Promise<SingularTriplets> => {
    const matrix = await backend.allocate(rows, cols);
    await backend.upload(matrix, 0, rows, (out) => tensor.read(offset, out));
    const { left, values, right } = await backend.svd(matrix, Math.min(rows, cols));
    backend.free(matrix);
    return transposed ? { left: right, values, right: left } : { left, values, right };
  };
  const whole = new Map<string, Promise<SingularTriplets>>();
  const wholeOf = (matrix: StoredMatrix) => {
    const known = whole.get(matrix.name) ?? decompose(matrix);
    whole.set(matrix.name, known);
    return known;
  };
  return {
    checkpoint,
    matrices,
    ties: groups,
    async factorsOf(matrix, rank) {
      const { left, values, right } = await wholeOf(matrix);
      return {
        left: leading(left, rank, values.length),
        values: values.slice(0, rank),
        right: leading(right, rank, values.length),
      };
    },
    async plan(request) {
      const excluded = nameMatcher(request.exclude ?? []);
      const needed = ({ name, fixed }: StoredMatrix) =>
        !fixed && (request.overrides?.[name] !== undefined || !excluded(name));
      const inputs = [];
      for (const matrix of matrices)
        inputs.push({
          name: matrix.name,
          shape: matrix.shape,
          bytesPerElement: matrix.tensor.bytes / (matrix.rows * matrix.cols),
          singularValues: needed(matrix) ? (await wholeOf(matrix)).values : [],
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

/** The first `rank` columns of a row-major matrix of `cols` columns. */
function leading(values: Float32Array, rank: number, cols: number): Float32Array {
  const out = new Float32Array((values.length / cols) * rank);
  for (let at = 0; at < out.length; at++) out[at] = values[Math.floor(at / rank) * cols + (at % rank)]!;
  return out;
}
