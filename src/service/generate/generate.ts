import { basename } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Backend } from '../../devices/backend.ts';
import type { GenerateRequest, Generation } from '../../model/generation.ts';
import { type Network, networkWith, openNetwork } from '../../network/network.ts';
import type { Variant } from '../../network/variant.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { cutVariants } from '../evaluate/cutVariants.ts';
import { decompositions, FactorStore } from '../evaluate/factorStore.ts';
import { continueBeside } from './continueBeside.ts';
import { readPrompt } from './prompt.ts';

const TOKENS = 48;
/** More than anyone reads. */
const MOST_TOKENS = 4096;

/**
 * Continues a prompt greedily, with the network of a checkpoint and with a variant.
 * @throws RankscopeError 'wrong-use' for a prompt that is empty or too long, a plan or file of another network;
 *   'unsupported' for an architecture that is not known; 'not-found' without a tokenizer; 'too-large' if the network
 *   does not fit into memory; 'not-finite'; 'cancelled'
 */
export function generate(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: GenerateRequest,
  context: CallContext<StepProgress>,
): Promise<Generation> {
  const { path, file, plan, tokens = TOKENS } = request;
  if (file !== undefined && plan !== undefined)
    throw new RankscopeError('wrong-use', path, 'a plan and a file are given', 'Name one of them');
  if (!(Number.isSafeInteger(tokens) && tokens >= 1 && tokens <= MOST_TOKENS))
    throw new RankscopeError('wrong-use', 'tokens', `${tokens}`, `Give a whole number from 1 to ${MOST_TOKENS}`);
  const paths = file === undefined ? [path] : [path, file];
  return checkpoints.useAll(paths, context.signal, ([opened, other]) =>
    generateOpened(devices, opened!, other, { ...request, tokens }, context),
  );
}

async function generateOpened(
  devices: Devices,
  opened: Opened,
  file: Opened | undefined,
  request: GenerateRequest & { readonly tokens: number },
  { signal, progress }: CallContext<StepProgress>,
): Promise<Generation> {
  const { checkpoint } = opened;
  const network = await openNetwork(checkpoint, { signal });
  const prompt = await readPrompt(checkpoint, network, request, signal);
  const variantOn = file ? () => fileVariant(network, file) : await planVariant(opened, network, request.plan, signal);
  const generation = await devices.run(devices.settle(request), checkpoint.path, { signal, urgent: true }, (backend) =>
    continueBeside(backend, {
      opened,
      network,
      prompt,
      tokens: request.tokens,
      variant: variantOn?.(backend),
      file,
      signal,
      progress,
    }),
  );
  for (const each of file ? [opened, file] : [opened]) await refuseChanged(each.checkpoint);
  return generation;
}

/** The network with the weights of another checkpoint. */
export function fileVariant(network: Network, { checkpoint }: Opened): Variant {
  return { name: basename(checkpoint.path), replaced: new Map(), network: networkWith(network, checkpoint) };
}

/** The network with the factors of a plan, which are computed when they are asked for. */
async function planVariant(
  opened: Opened,
  network: Network,
  plan: GenerateRequest['plan'],
  signal: AbortSignal | undefined,
): Promise<((backend: Backend) => Variant) | undefined> {
  const [cut] = await cutVariants(opened, network, { plans: plan ? [plan] : [] }, signal);
  if (!cut) return undefined;
  return (backend) => {
    const store = new FactorStore(decompositions(backend, signal), cut.cuts.values());
    return {
      name: cut.name,
      replaced: new Map([...cut.cuts].map(([tensor, part]) => [tensor, () => store.take(part)])),
    };
  };
}
