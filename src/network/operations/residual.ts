import type { Matrix } from '../../devices/backend.ts';
import type { Scope } from './run.ts';

/** A copy of x, through which gradients pass back to it. */
export async function copied(scope: Scope, x: Matrix): Promise<Matrix> {
  const copy = await copyOf(scope, x);
  scope.tape?.record([], async (tape) => {
    const gradient = tape.take(copy);
    if (gradient) await tape.add(x, gradient);
  });
  return copy;
}

/** x <- x + scale y. */
export async function addTo({ backend, tape }: Scope, x: Matrix, y: Matrix, scale: number): Promise<void> {
  await backend.network.add(x, y, scale);
  tape?.record([], async (back) => {
    const gradient = back.gradientOf(x);
    if (!gradient) return;
    const ofY = await copyInto(backend.network, await backend.allocate(y.rows, y.cols), gradient);
    if (scale !== 1) await backend.network.rescale(ofY, scale);
    await back.add(y, ofY);
  });
}

/** A copy that is kept for what passes back later. */
export async function copyOf({ backend, take }: Pick<Scope, 'backend' | 'take'>, x: Matrix): Promise<Matrix> {
  return copyInto(backend.network, await take(x.rows, x.cols), x);
}

async function copyInto({ pick }: Scope['backend']['network'], copy: Matrix, x: Matrix): Promise<Matrix> {
  await pick(copy, x, { size: x.cols, from: 0, step: x.cols });
  return copy;
}
