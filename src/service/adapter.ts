import { adapterConfiguration, adapterScale } from '../formats/adapter/configuration.ts';
import { findListedPairs } from '../formats/adapter/listed.ts';
import { type AdapterPair, findAdapterPairs } from '../formats/adapter/pairs.ts';
import type { Checkpoint } from '../formats/checkpoint.ts';
import type { AdapterUpdate } from '../model/adapters.ts';
import type { ThinProduct } from '../spectrum/thinProduct.ts';

/** What an adapter's pairs add to their layers, with the scale that is written beside them; empty for any other checkpoint. */
export async function adapterUpdates(checkpoint: Checkpoint, signal?: AbortSignal): Promise<AdapterUpdate[]> {
  const found = findAdapterPairs(checkpoint.tensors) ?? findListedPairs(checkpoint.tensors);
  if (!found) return [];
  // cloneofsimo's and diffusers' old names never come with a configuration of PEFT: one beside them belongs to another file.
  const configuration = found.naming === 'peft' ? await adapterConfiguration(checkpoint, signal) : undefined;
  const updates: AdapterUpdate[] = [];
  const names = new Set(checkpoint.tensors.map(({ name }) => name));
  for (const pair of found.pairs) {
    const { target, up, down, rank, magnitude } = pair;
    // A convolution in three factors (Tucker), or an up factor with a kernel, is no product of two matrices.
    if (names.has(down.name.replace('lora_down', 'lora_mid')) && down.name.includes('lora_down')) continue;
    if (up.shape.slice(2).some((size) => size !== 1)) continue;
    const scale = adapterScale(pair, configuration, await alphaOf(checkpoint, pair, signal));
    updates.push({ target, up, down, rank, scale, dora: magnitude !== undefined });
  }
  return updates;
}

async function alphaOf(
  checkpoint: Checkpoint,
  { alpha }: AdapterPair,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  if (!alpha || alpha.shape.some((size) => size !== 1)) return undefined;
  const value = new Float32Array(1);
  await checkpoint.read(alpha, 0, value, signal);
  return value[0];
}

/** How an update's spectrum is taken from its factors alone. */
export function updateProduct(
  checkpoint: Checkpoint,
  name: string,
  { up, down, rank, scale }: AdapterUpdate,
): ThinProduct {
  const outputs = up.shape[0]!;
  const inputs = down.shape.slice(1).reduce((product, size) => product * size, 1);
  return {
    name,
    outputs,
    inputs,
    rank,
    scale,
    async load(signal) {
      const factors = { up: new Float32Array(outputs * rank), down: new Float32Array(rank * inputs) };
      await checkpoint.read(up, 0, factors.up, signal);
      await checkpoint.read(down, 0, factors.down, signal);
      return factors;
    },
  };
}
