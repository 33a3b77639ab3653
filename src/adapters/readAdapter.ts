import { elementCount } from '../base/shape.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { Placeable } from '../model/names/anatomy.ts';
import type { AdapterConfigurations } from './configuration/adapterConfiguration.ts';
import { adapterConfigurations } from './configuration/configuration.ts';
import { adapterScale } from './configuration/scale.ts';
import { separateExperts } from './experts.ts';
import { findListedPairs } from './listed.ts';
import type { AdapterNaming } from './names.ts';
import { type AdapterPair, findAdapterPairs } from './pairs.ts';
import { tensorsOf } from './parts.ts';
import { refusedKind, refusedLayers, sharedReason, unknownMethod } from './relatives/kinds.ts';
import { findRelatives, formRelative, type Relative } from './relatives/relatives.ts';
import type { RefusedUpdate, Update } from './update.ts';
import { UpdateMatrix } from './updateMatrix.ts';

/** The adapters in a checkpoint; all empty for any other checkpoint. */
export interface AdapterReading {
  /** How its library names tensors, such as `peft` or `kohya`; empty where there is no adapter. */
  readonly naming: string;
  /** The number of adapted layers, including refused ones. */
  readonly pairs: number;
  readonly updates: readonly Update[];
  readonly refused: readonly RefusedUpdate[];
  /**
   * The base model of each adapter, by the adapter's name (`undefined` for a lone one), as far as it is stated
   * anywhere.
   */
  readonly bases: ReadonlyMap<string | undefined, string>;
  /** What a user should know about the updates, one sentence each. */
  readonly remarks: readonly string[];
}

/** Reads what an adapter adds to its layers, with the scales stated in the file or beside it. */
export async function readAdapter(checkpoint: Checkpoint, signal?: AbortSignal): Promise<AdapterReading> {
  const { tensors } = checkpoint;
  const found = findAdapterPairs(tensors) ?? findListedPairs(tensors);
  const reading = new Reading(checkpoint, found?.naming ?? 'peft', signal);
  reading.refused.push(...(found?.refused ?? []));
  for (const [adapter, pairs] of byAdapter(found?.pairs ?? [])) await reading.addPairs(adapter, pairs);
  const relatives = findRelatives(tensors);
  for (const relative of relatives) await reading.addRelative(relative);
  await reading.refuseOthers();
  const { updates, refused, bases, remarks } = reading;
  const layers = relatives.reduce((sum, relative) => sum + relative.layers.length, 0);
  const isAdapter = found !== undefined || updates.length + refused.length > 0;
  return {
    naming: isAdapter ? reading.naming : '',
    pairs: (found?.pairs.length ?? 0) + layers,
    updates,
    refused,
    bases,
    remarks: [...remarks],
  };
}

/** What is read of a checkpoint so far. */
class Reading {
  readonly updates: Update[] = [];
  readonly refused: RefusedUpdate[] = [];
  readonly bases = new Map<string | undefined, string>();
  readonly remarks = new Set<string>();
  private readonly configurations = new Map<string | undefined, AdapterConfigurations>();

  constructor(
    private readonly checkpoint: Checkpoint,
    readonly naming: AdapterNaming,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async addPairs(adapter: string | undefined, pairs: readonly AdapterPair[]): Promise<void> {
    const said = await this.configured(adapter);
    for (const [pair, separated] of separateExperts(pairs, said.all))
      if (typeof separated === 'string') this.refused.push(refusal(pair, separated));
      else
        for (const each of separated) {
          const update = await scaled(each, said, this.signal);
          if ('reason' in update) this.refused.push(update);
          else this.updates.push(update);
        }
  }

  async addRelative(relative: Relative): Promise<void> {
    const { adapter, shared } = relative;
    const said = await this.configured(adapter);
    const settings = said.all.find(({ settings }) => settings.peft_type !== undefined)?.settings ?? {};
    const used = new Set<Tensor>();
    for (const { target, tensors, formed } of await formRelative(relative, settings, this.signal)) {
      if (typeof formed === 'string') {
        this.refused.push({ target, tensors, reason: formed });
        continue;
      }
      const { stored, scale } = formed;
      const { outputs, inputs, rank } = stored;
      const named = adapter === undefined ? {} : { adapter };
      this.updates.push({ target, ...named, stored, tensors, shape: [outputs, inputs], rank, scale, dora: false });
      for (const tensor of tensors) used.add(tensor);
    }
    for (const [word, tensor] of shared)
      if (!used.has(tensor)) this.refused.push({ target: tensor.name, tensors: [tensor], reason: sharedReason(word) });
  }

  /** Names what belongs to other kinds of adapters, so that no part is shown as a weight. */
  async refuseOthers(): Promise<void> {
    const { tensors } = this.checkpoint;
    const known = new Set([...this.updates, ...this.refused].flatMap((each) => each.tensors));
    const rest = tensors.filter((tensor) => !known.has(tensor));
    const ofLayers = refusedLayers(rest.map(({ name }) => name));
    const mayBePeft = rest.some(({ name }) => name.startsWith('base_model.'));
    const type = mayBePeft ? (await this.configured(undefined)).method : undefined;
    const whole: string[] = [];
    for (const tensor of rest) {
      const { name } = tensor;
      const reason = refusedKind(name) ?? ofLayers.get(name) ?? (type && unknownMethod(name, type));
      if (reason) this.refused.push({ target: name, tensors: [tensor], reason });
      else if (this.updates.length > 0 && tensor.shape.length > 1 && elementCount(tensor.shape) > 0) whole.push(name);
    }
    if (whole.length > 0) this.remarks.add(besideUpdates(whole));
  }

  private async configured(adapter: string | undefined): Promise<AdapterConfigurations> {
    const known = this.configurations.get(adapter);
    if (known) return known;
    const said = await adapterConfigurations(this.checkpoint, { adapter, naming: this.naming }, this.signal);
    this.configurations.set(adapter, said);
    if (said.baseModel !== undefined) this.bases.set(adapter, said.baseModel);
    for (const remark of said.remarks) this.remarks.add(remark);
    return said;
  }
}

/** Such as `modules_to_save`, the table of a resized embedding, or the new layers of a Control-LoRA. */
function besideUpdates(names: readonly string[]): string {
  const some = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
  return `${names.length} whole weight${names.length > 1 ? 's' : ''} beside the updates of the adapter: ${some}`;
}

function byAdapter(pairs: readonly AdapterPair[]): Map<string | undefined, AdapterPair[]> {
  const named = new Map<string | undefined, AdapterPair[]>();
  for (const pair of pairs) {
    const own = named.get(pair.adapter);
    if (own) own.push(pair);
    else named.set(pair.adapter, [pair]);
  }
  return named;
}

async function scaled(
  pair: AdapterPair,
  { all }: AdapterConfigurations,
  signal: AbortSignal | undefined,
): Promise<Update | RefusedUpdate> {
  const { target, adapter, stored, shape, rank, magnitude, stack } = pair;
  const alpha = await alphaOf(pair, signal);
  const scale = adapterScale(pair, all, alpha);
  if (typeof scale === 'string') return refusal(pair, scale);
  if (!Number.isFinite(scale))
    return refusal(pair, `its scale is ${scale}: alpha is ${alpha}, the rank ${pair.factorRank}`);
  return {
    target,
    ...(adapter === undefined ? {} : { adapter }),
    ...(stack ? { stack } : {}),
    stored,
    tensors: [...tensorsOf(stored), ...(magnitude ? [magnitude] : [])],
    shape,
    rank,
    scale,
    dora: magnitude !== undefined,
  };
}

const refusal = ({ target, stored, magnitude }: AdapterPair, reason: string): RefusedUpdate => ({
  target,
  tensors: [...tensorsOf(stored), ...(magnitude ? [magnitude] : [])],
  reason,
});

/**
 * The tensors of a checkpoint with the factors of each update replaced by one matrix [out, in], named after the layer,
 * or by a stack of them. It takes the place of its first factor.
 */
export function withUpdates(tensors: readonly Tensor[], updates: readonly Update[]): readonly (Tensor | Placeable)[] {
  if (updates.length === 0) return tensors;
  const taken = new Set(tensors.map(({ name }) => name));
  const instead = new Map<Tensor, Placeable>();
  for (const alike of byStack(updates)) {
    const { target, adapter, shape, stack, tensors: parts } = alike[0]!;
    const module = stack?.target ?? target;
    const own = adapter === undefined ? module : `${module} (${adapter})`;
    const name = taken.has(own) ? `${own} (adapter)` : own;
    const matricesAt: Placeable['matricesAt'] = (place) => alike.map((update) => new UpdateMatrix(name, update, place));
    const placeable: Placeable = { name, shape, matricesAt };
    for (const part of parts) instead.set(part, placeable);
  }
  return [...new Set(tensors.map((tensor) => instead.get(tensor) ?? tensor))];
}

/** The updates of one stack together, all others alone. */
function byStack(updates: readonly Update[]): Iterable<readonly Update[]> {
  const stacks = new Map<unknown, Update[]>();
  for (const update of updates) {
    const { stack, adapter } = update;
    const key = stack ? JSON.stringify([stack.target, adapter]) : update;
    const own = stacks.get(key);
    if (own) own.push(update);
    else stacks.set(key, [update]);
  }
  return stacks.values();
}

async function alphaOf({ alpha }: AdapterPair, signal: AbortSignal | undefined): Promise<number | undefined> {
  if (!alpha || alpha.shape.some((size) => size !== 1)) return undefined;
  const value = new Float32Array(1);
  await alpha.read(0, value, signal);
  return value[0];
}
