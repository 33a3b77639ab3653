import type { Matrix } from '../../devices/backend.ts';
import { type Passage, passStream } from '../blocks/applyBlock.ts';
import type { Block } from '../blocks/block.ts';
import type { Rows } from '../operations/rows.ts';
import { withScope } from '../operations/run.ts';
import { Tape } from '../operations/tape.ts';

/** A batch of what a block reads and should give. */
export interface LossBatch {
  readonly input: Rows;
  readonly target: Rows;
}

/** The mean of the squares of all entries. */
export function meanSquare({ values }: Rows): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum / Math.max(1, values.length);
}

/** The mean squared error of the block's outputs over `scale`. */
export function lossOf(passage: Passage, block: Block, { input, target }: LossBatch, scale: number): Promise<number> {
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(input);
    await passStream(scope, passage, block, x);
    return squaredError((await scope.download(x)).values, target.values) / scale;
  });
}

/**
 * The same, and the gradients of trained weights and of all norms, on a tape that `use` reads before it is closed.
 * @param trained matrices of layers of the block, whose experts are in device memory with it
 */
export async function withGradients(
  passage: Passage,
  block: Block,
  trained: ReadonlySet<Matrix>,
  { input, target }: LossBatch,
  scale: number,
  use: (loss: number, tape: Tape) => Promise<void>,
): Promise<void> {
  const { backend, pause, signal } = passage.run;
  const tape = new Tape(backend, trained, pause, signal);
  try {
    const loss = await withScope({ ...passage.run, tape }, async (scope) => {
      const x = await scope.upload(input);
      await passStream(scope, passage, block, x);
      const { values } = await scope.download(x);
      const error = squaredError(values, target.values) / scale;
      const factor = 2 / (scale * Math.max(1, values.length));
      for (let i = 0; i < values.length; i++) values[i] = factor * (values[i]! - target.values[i]!);
      const gradient = await backend.allocate(input.rows, input.cols);
      await tape.add(x, gradient);
      await backend.upload(gradient, 0, gradient.rows, (out) => out.set(values));
      return error;
    });
    await tape.back();
    await use(loss, tape);
  } finally {
    tape.close();
  }
}

/** The mean of squared differences. */
function squaredError(values: Float32Array, target: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - target[i]!) ** 2;
  return sum / Math.max(1, values.length);
}
