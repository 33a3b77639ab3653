import type { DeviceRequest } from '../../base/deviceInfo.ts';

export interface InitRequest extends DeviceRequest {
  readonly path: string;
  /** The folder to write: the adapter in `adapter`, the base without it in `base`. */
  readonly out: string;
  readonly overwrite?: boolean;
  readonly rank: number;
  /** alpha of `rank`; the rank itself by default, so that the scale is 1. */
  readonly alpha?: number;
  /** Statistics of the inputs: the adapter then has the principal components of W X, else those of W (PiSSA). */
  readonly activations?: string;
  /** Globs over the names of matrices; all linear layers but the head by default. */
  readonly tensors?: readonly string[];
}

export interface InitializedMatrix {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly rank: number;
  /** Part of the squared norm of W, or of W X, that the adapter has. */
  readonly energy: number;
  /** Whether the components are those of W X. */
  readonly onInputs: boolean;
}

/** The object that `rankscope lora init --json` prints; its schema is media/schemas/initialization.schema.json. */
export interface Initialization {
  readonly format: 'rankscope.initialization/1';
  readonly path: string;
  readonly adapter: string;
  /** The base without the adapter, with which it belongs. */
  readonly base: string;
  readonly matrices: readonly InitializedMatrix[];
  /** Of the adapter. */
  readonly parameters: number;
  readonly bytes: number;
  readonly remarks: readonly string[];
}
