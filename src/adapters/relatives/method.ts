import type { JsonObject } from '../../bytes/boundedJson.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { ComputedUpdate } from '../parts.ts';

/** The parts of one layer by their words, and those that all layers of an adapter share. */
export interface LayerParts {
  readonly target: string;
  readonly own: ReadonlyMap<string, Tensor>;
  readonly shared: ReadonlyMap<string, Tensor>;
  /** adapter_config.json, empty where there is none. */
  readonly settings: JsonObject;
  /** All layers of the adapter, itself included. */
  readonly layers: readonly Pick<LayerParts, 'target' | 'own'>[];
}

/** How the update of a layer is computed from its parts, and its scale; a text if it cannot be. */
export type Formed = { readonly stored: ComputedUpdate; readonly scale: number } | string;

export type FormLayer = (parts: LayerParts, signal: AbortSignal | undefined) => Formed | Promise<Formed>;

/** The parts of these names, in this order; a text that says what is missing. */
export function partsOf(from: ReadonlyMap<string, Tensor>, names: readonly string[]): readonly Tensor[] | string {
  const parts = names.map((name) => from.get(name));
  const missing = names.find((_, index) => parts[index] === undefined);
  return missing === undefined ? (parts as Tensor[]) : `its ${missing} is not in the file`;
}

/** Why these shapes do not form an update; for messages. */
export function misfit(parts: readonly Tensor[]): string {
  return `its parts do not fit together: ${parts.map(({ name, shape }) => `${name.split('.').at(-1)} ${shape.join(' x ')}`).join(', ')}`;
}

export const numberOr = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise);
