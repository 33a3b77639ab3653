import type { Backend } from '../devices/backend.ts';
import { uploadLinear } from './blocks/deviceLinear.ts';
import { type BeforeHead, headModule } from './head.ts';
import { type Network, readNorm, readProjection } from './network.ts';
import type { Linear } from './operations/linear.ts';
import { replacement, type Variant } from './variant.ts';

/** What stands behind the last block of a network. */
export interface Ending extends BeforeHead {
  readonly head: Linear;
}

/** Reads what stands behind the last block. The caller frees the layers, which are added to `owned`. */
export async function readEnding(
  network: Network,
  backend: Backend,
  owned: Linear[],
  signal: AbortSignal | undefined,
): Promise<Ending> {
  const { decoder, weights } = network;
  const module = headModule(network);
  const stored = weights.linear(module, undefined, decoder.embeddingWidth);
  const bias = await weights.vector(`${module}.bias`, [stored.outputs], signal);
  const head = await uploadLinear(backend, module, stored, bias, signal);
  owned.push(head);
  return { head, ...(await readBeforeHead(network, backend, owned, signal)) };
}

/** The same without the head. */
export async function readBeforeHead(
  network: Network,
  backend: Backend,
  owned: Linear[],
  signal: AbortSignal | undefined,
  variant?: Variant,
): Promise<BeforeHead> {
  const { decoder, modules, prefix } = network;
  const norm = decoder.hasFinalNorm
    ? await readNorm(network, prefix + modules.finalNorm, [decoder.width], signal)
    : undefined;
  const replaced = await replacement(network, variant, modules.projectOut, signal);
  const projection = await readProjection(network, backend, modules.projectOut, signal, replaced);
  if (projection) owned.push(projection);
  return { norm, projection };
}
