import { RankscopeError } from '../base/errors.ts';
import type { Matrix } from '../devices/backend.ts';
import type { Decoder } from './configuration/decoder.ts';
import type { Network } from './network.ts';
import { type Linear, linear } from './operations/linear.ts';
import type { Norm } from './operations/norm.ts';
import type { Rows } from './operations/rows.ts';
import { type Run, type Scope, withScope } from './operations/run.ts';

/**
 * The module of the head: the embedding if they are tied and the file has no head.
 * @throws RankscopeError 'malformed' without one
 */
export function headModule({ decoder, modules, weights, prefix }: Network): string {
  const own = weights.prefixOf(modules.head);
  if (own !== undefined) return own + modules.head;
  if (decoder.head.tied !== false) return prefix + modules.embedding;
  throw weights.missing(`${modules.head}.weight`);
}

/** What stands between the last block of a network and its head. */
export interface BeforeHead {
  readonly norm: Norm | undefined;
  readonly projection: Linear | undefined;
}

/** What the head reads. */
export function beforeHead(run: Run, stream: Rows, { norm, projection }: BeforeHead): Promise<Rows> {
  return withScope(run, async (scope) => {
    const x = await scope.upload(stream);
    if (norm) await scope.backend.network.normalize(x, x, norm);
    if (!projection) return scope.download(x);
    const [projected] = await linear(scope, x, [projection]);
    return scope.download(projected!);
  });
}

/** The logits, or some columns of them, of rows that the head reads. */
export async function logitsOf(
  scope: Scope,
  x: Matrix,
  head: Linear,
  { scale, softCap }: Decoder['head'],
): Promise<Matrix> {
  const [logits] = await linear(scope, x, [head]);
  if (scale !== 1 || softCap !== null) await scope.backend.network.rescale(logits!, scale, softCap);
  return logits!;
}

/** @param position of the logit in its window, from 0 on, as the window's number */
export function notFinite(subject: string, name: string, window: number, position: number): RankscopeError {
  return new RankscopeError(
    'not-finite',
    subject,
    `${name} has a logit that is NaN or infinite, at position ${position + 1} of window ${window + 1}`,
    'The weights are damaged or too large for f32',
  );
}
