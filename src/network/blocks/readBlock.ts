import type { Backend } from '../../devices/backend.ts';
import type { BlockLinear, BlockNorm } from '../configuration/architectures.ts';
import type { AttentionSettings } from '../configuration/decoder.ts';
import { type Network, readNorm } from '../network.ts';
import type { Linear } from '../operations/linear.ts';
import type { Norm } from '../operations/norm.ts';
import type { Block, StoredExpert, StoredModule } from './block.ts';
import { freeLinear, uploadLinear } from './deviceLinear.ts';
import { LINEAR_SHAPES, sidesOf } from './shapes.ts';

/**
 * Reads all weights of a block but those of its experts. The caller frees it with `freeBlock`.
 * @throws RankscopeError 'malformed' for a tensor that is missing or contradicts the configuration, 'not-finite',
 *   'too-large' if the device lacks the memory, 'cancelled'
 */
export async function readBlock(
  network: Network,
  backend: Backend,
  layer: number,
  signal: AbortSignal | undefined,
): Promise<Block> {
  const { decoder, modules, weights, prefix } = network;
  const settings = decoder.layers[layer]!;
  const { experts } = settings.feedForward;
  const sides = sidesOf(settings, decoder.width);
  const path = `${prefix}${modules.layers}.${layer}.`;
  const taken: Linear[] = [];
  const find = async (
    module: string,
    outputs: number | undefined,
    inputs: number | undefined,
  ): Promise<StoredModule> => {
    const stored = weights.linear(path + module, outputs, inputs);
    const bias = await weights.vector(`${path}${module}.bias`, [stored.outputs], signal);
    // Whether there are biases, only the file says, and it says the same of every block.
    if (!bias && weights.hasTensor(`${prefix}${modules.layers}.0.${module}.bias`))
      throw weights.missing(`${path}${module}.bias`);
    return { name: path + module, stored, bias };
  };
  const read = async (
    module: string,
    outputs: number | undefined,
    inputs: number | undefined,
    deniedBy: string | undefined,
  ): Promise<Linear> => {
    const { name, stored, bias } = await find(module, outputs, inputs);
    // Some exporters store zeros for layers without a bias.
    if (deniedBy !== undefined && bias?.some((value) => value !== 0)) throw weights.denied(`${name}.bias`, deniedBy);
    const linear = await uploadLinear(backend, name, stored, bias, signal);
    taken.push(linear);
    return linear;
  };

  /** The norms of the heads as one, their weights side by side. */
  const headNorms = async (part: BlockNorm, module: string): Promise<Norm> => {
    const { heads, keyHeads, headSize } = settings.attention;
    const weight = new Float32Array((part === 'queryNorm' ? heads : keyHeads) * headSize);
    for (let head = 0; head * headSize < weight.length; head++) {
      const own = await readNorm(network, path + module.replace('#', String(head)), [headSize], signal);
      weight.set(own.weight, head * headSize);
    }
    return { kind: decoder.norm.kind, epsilon: decoder.norm.epsilon, weight, size: headSize };
  };

  try {
    const norms: Partial<Record<BlockNorm, Norm>> = {};
    for (const [part, module] of entriesOf(modules.norms)) {
      // Attention and feed-forward may share a norm where both read the same residual stream.
      if (part === 'feedForwardNorm' && decoder.parallel && !weights.hasTensor(`${path}${module}.weight`)) continue;
      if (module.includes('#')) {
        if (decoder.normsEachHead) norms[part] = await headNorms(part, module);
        continue;
      }
      norms[part] = await readNorm(network, path + module, normSizes(part, settings.attention, decoder.width), signal);
    }
    const linears: Partial<Record<BlockLinear, Linear>> = {};
    for (const [part, module] of entriesOf(modules.linears)) {
      const { outputs, inputs, blocks } = LINEAR_SHAPES[part];
      if (blocks !== 'all' && blocks !== (experts ? 'experts' : 'plain')) continue;
      linears[part] = await read(module, sides[outputs], sides[inputs], decoder.unbiased.get(part));
    }
    const storedExperts: StoredExpert[] = [];
    for (let number = 0; modules.expert && number < (experts?.count ?? 0); number++) {
      const { gate, up, gateUp, down } = modules.expert;
      const of = (module: string) => module.replace('#', String(number));
      storedExperts.push({
        ...(gate !== undefined && { gate: await find(of(gate), sides.inner, sides.width) }),
        ...(up !== undefined && { up: await find(of(up), sides.inner, sides.width) }),
        ...(gateUp !== undefined && { gateUp: await find(of(gateUp), sides.gateAndUp, sides.width) }),
        down: await find(of(down), sides.width, sides.inner),
      });
    }
    const sharedWeight =
      experts && modules.sharedWeight !== undefined
        ? await weights.vector(`${path}${modules.sharedWeight}.weight`, [decoder.width], signal)
        : undefined;
    return { norms, linears, experts: [], storedExperts, sharedWeight };
  } catch (error) {
    for (const linear of taken) freeLinear(backend, linear);
    throw error;
  }
}

/** Norms of queries and keys are those of each head, or of all heads together. */
function normSizes(part: BlockNorm, { heads, keyHeads, headSize }: AttentionSettings, width: number): number[] {
  if (part === 'queryNorm') return [headSize, heads * headSize];
  return part === 'keyNorm' ? [headSize, keyHeads * headSize] : [width];
}

function entriesOf<Part extends string>(parts: Readonly<Partial<Record<Part, string>>>): [Part, string][] {
  return Object.entries(parts) as [Part, string][];
}
