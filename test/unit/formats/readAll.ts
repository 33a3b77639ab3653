import { elementCount } from '../../../src/base/shape.ts';
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';

/** All values of a checkpoint by tensor name. */
export async function readAll(checkpoint: Checkpoint): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {};
  for (const tensor of checkpoint.tensors) {
    const out = new Float32Array(elementCount(tensor.shape));
    await tensor.read(0, out);
    values[tensor.name] = [...out];
  }
  return values;
}

/** Opens the checkpoint at a path, passes it to a function, and closes it. */
export async function withCheckpoint<T>(path: string, use: (checkpoint: Checkpoint) => Promise<T> | T): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}
