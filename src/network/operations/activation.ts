import type { Activation, Matrix } from '../../devices/backend.ts';
import { copyOf } from './residual.ts';
import type { Scope } from './run.ts';
import type { Tape } from './tape.ts';

/** x <- f(x), or f(x) * factor. */
export async function activate(scope: Scope, x: Matrix, f: Activation, factor?: Matrix): Promise<void> {
  const { backend, tape, free } = scope;
  const before = tape && (await copyOf(scope, x));
  await backend.network.activate(x, f, factor);
  if (!before) return;
  tape.record(factor ? [before, factor] : [before], (back) => activationBack(back, x, before, f, factor));
  free(before);
}

async function activationBack(
  tape: Tape,
  x: Matrix,
  before: Matrix,
  f: Activation,
  factor: Matrix | undefined,
): Promise<void> {
  const { backend } = tape;
  const gradient = tape.take(x);
  if (!gradient) return;
  const gate = factor && { factor, gradient: await backend.allocate(factor.rows, factor.cols) };
  await backend.network.activateBack(gradient, before, f, gate);
  await tape.add(x, gradient);
  if (gate) await tape.add(gate.factor, gate.gradient);
}
