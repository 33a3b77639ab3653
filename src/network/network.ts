import { RankscopeError } from '../base/errors.ts';
import type { JsonObject } from '../bytes/boundedJson.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Backend } from '../devices/backend.ts';
import { uploadLinear } from './blocks/deviceLinear.ts';
import { type StoredLinear, Weights } from './blocks/weights.ts';
import type { Modules } from './configuration/architectures.ts';
import type { Decoder } from './configuration/decoder.ts';
import { ggufConfiguration } from './configuration/ggufConfiguration.ts';
import { readDecoder } from './configuration/readDecoder.ts';
import type { Linear } from './operations/linear.ts';
import type { Norm } from './operations/norm.ts';

/** A decoder with its weights, which are read when they are needed. */
export interface Network {
  readonly decoder: Decoder;
  readonly modules: Modules;
  /** All names that the modules may have in a file of this network. */
  readonly forms: readonly Modules[];
  readonly weights: Weights;
  /** What stands before the names of modules outside the head, such as `model.`. */
  readonly prefix: string;
  readonly isFusedByHead: boolean;
}

export interface OpenNetworkOptions {
  readonly signal?: AbortSignal | undefined;
  readonly configuration?: JsonObject | undefined;
}

/**
 * The network of a checkpoint: what its directory and configuration say of it. Reads no weights.
 * @param configuration in the form of config.json; by default the one beside the file, or what GGUF's metadata say.
 * @throws RankscopeError 'unsupported' for an architecture that is not known, 'malformed' for a configuration that is
 *   missing, wrong, or contradicts the tensors, 'cancelled'
 */
export async function openNetwork(
  checkpoint: Checkpoint,
  { signal, configuration = checkpoint.configuration }: OpenNetworkOptions = {},
): Promise<Network> {
  const { path } = checkpoint;
  const own = configuration ?? (await ggufConfiguration(checkpoint, signal));
  if (!own)
    throw new RankscopeError(
      'malformed',
      path,
      'has no config.json beside it that is a JSON object',
      'Put that of the model into its folder',
    );
  const { decoder, architecture } = readDecoder(own, path);
  const forms = [architecture.modules, ...(architecture.stacked ? [architecture.stacked] : [])];
  const weights = new Weights(checkpoint);
  const { embedding } = architecture.modules;
  const prefix = weights.prefixOf(embedding);
  if (prefix === undefined) throw weights.missing(`${embedding}.weight`);
  const modules = formOf(forms, weights, prefix, decoder.layers.length);
  const found = weights.layersUnder(`${prefix}${modules.layers}.`);
  if (found !== decoder.layers.length)
    throw new RankscopeError(
      'malformed',
      path,
      `it has ${found} layers, its configuration says ${decoder.layers.length}`,
    );
  weights.linear(prefix + modules.embedding, decoder.vocabulary ?? undefined);
  return { decoder, modules, forms, weights, prefix, isFusedByHead: architecture.fusedByHead === true };
}

/** The names of modules in a file: those under which it has an expert. */
function formOf(forms: readonly Modules[], weights: Weights, prefix: string, layers: number): Modules {
  const has = ({ layers: path, expert }: Modules) =>
    expert &&
    Array.from({ length: layers }, (_, layer) => `${prefix}${path}.${layer}.${expert.down.replace('#', '0')}`).some(
      (module) => weights.find(module),
    );
  return forms.find(has) ?? forms[0]!;
}

/**
 * The network with the weights of another checkpoint, such as a factorized one.
 * @throws RankscopeError 'wrong-use' if that is not a checkpoint of this network
 */
export function networkWith(network: Network, checkpoint: Checkpoint): Network {
  const { modules, forms, decoder } = network;
  const weights = new Weights(checkpoint);
  const refuse = (found: string) =>
    new RankscopeError(
      'wrong-use',
      checkpoint.path,
      found,
      `Name a checkpoint of the network in ${network.weights.subject}`,
    );
  const prefix = weights.prefixOf(modules.embedding);
  if (prefix === undefined) throw refuse(`it has no ${modules.embedding}.weight`);
  const layers = weights.layersUnder(`${prefix}${modules.layers}.`);
  if (layers !== decoder.layers.length) throw refuse(`it has ${layers} layers, not ${decoder.layers.length}`);
  const rowsOf = (one: Weights, start: string) => one.linear(start + modules.embedding).outputs;
  const [own, other] = [rowsOf(network.weights, network.prefix), rowsOf(weights, prefix)];
  if (own !== other) throw refuse(`its embedding has ${other} rows, not ${own}`);
  return { ...network, modules: formOf(forms, weights, prefix, layers), weights, prefix };
}

/** @throws RankscopeError 'malformed' if the norm is missing or its size is none of `sizes` */
export async function readNorm(
  { decoder, weights }: Network,
  module: string,
  sizes: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Norm> {
  const { kind, epsilon, offset } = decoder.norm;
  const weight = await weights.vector(`${module}.weight`, sizes, signal);
  if (!weight) throw weights.missing(`${module}.weight`);
  const bias = kind === 'layer' ? await weights.vector(`${module}.bias`, [weight.length], signal) : undefined;
  return { kind, epsilon, weight: offset === 0 ? weight : weight.map((value) => value + offset), bias };
}

/**
 * The projection between embeddings and residual stream, in device memory; undefined where the widths are equal.
 * @param replaced what a variant has in its place
 */
export async function readProjection(
  { decoder: { width, embeddingWidth }, weights, prefix }: Network,
  backend: Backend,
  module: string | undefined,
  signal: AbortSignal | undefined,
  replaced?: StoredLinear,
): Promise<Linear | undefined> {
  if (module === undefined || width === embeddingWidth) return undefined;
  return uploadLinear(backend, prefix + module, replaced ?? weights.linear(prefix + module), undefined, signal);
}
