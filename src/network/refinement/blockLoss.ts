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

/**
 * The mean over all tokens of the squared error of the block's outputs, relative to the square of what each should be.
 * A few tokens have activations a thousand times as large as the others (Sun et al., arXiv 2402.17762), and what
 * follows normalizes each token for itself: a sum of plain squares would see these few alone.
 */
export function lossOf(passage: Passage, block: Block, { input, target }: LossBatch): Promise<number> {
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(input);
    await passStream(scope, passage, block, x);
    return relativeError((await scope.download(x)).values, target);
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
  use: (loss: number, tape: Tape) => Promise<void>,
): Promise<void> {
  const { backend, pause, signal } = passage.run;
  const tape = new Tape(backend, trained, pause, signal);
  try {
    const loss = await withScope({ ...passage.run, tape }, async (scope) => {
      const x = await scope.upload(input);
      await passStream(scope, passage, block, x);
      const { values } = await scope.download(x);
      const error = relativeError(values, target, values);
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

/** The mean over rows of ||value - target||^2 / ||target||^2. Its gradient goes to `gradient`, perhaps `values`. */
function relativeError(values: Float32Array, { rows, cols, values: targets }: Rows, gradient?: Float32Array): number {
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const [from, to] = [row * cols, (row + 1) * cols];
    let [error, size] = [0, 0];
    for (let i = from; i < to; i++) {
      error += (values[i]! - targets[i]!) ** 2;
      size += targets[i]! ** 2;
    }
    // A token that should be zero counts as it is.
    const weight = 1 / ((size || 1) * rows);
    sum += weight * error;
    if (gradient) for (let i = from; i < to; i++) gradient[i] = 2 * weight * (values[i]! - targets[i]!);
  }
  return sum;
}
