/** What Python code says about the modules of a network, as plain data without syntax trees. */

/** Part of one line: zero-based line and UTF-16 columns, the end exclusive. */
export interface Span {
  readonly line: number;
  readonly start: number;
  readonly end: number;
}

/** The value assigned to an attribute of a module. */
export type ModuleExpression =
  /** A constructor call; `sizes` are its leading arguments if they are whole numbers. */
  | { readonly kind: 'call'; readonly callee: string; readonly sizes: readonly (number | null)[] }
  /** ModuleList and Sequential; with `repeated`, any number of the one item. */
  | { readonly kind: 'list'; readonly items: readonly ModuleExpression[]; readonly repeated: boolean }
  | { readonly kind: 'dict'; readonly entries: readonly Field[] }
  | { readonly kind: 'either'; readonly options: readonly ModuleExpression[] }
  | { readonly kind: 'parameter' }
  /** Possibly a module, whose content is then unknown. */
  | { readonly kind: 'unknown' };

export interface Field {
  readonly name: string;
  readonly span: Span;
  readonly value: ModuleExpression;
  /** Assigned conditionally. */
  readonly optional: boolean;
}

export interface ModuleClass {
  readonly name: string;
  readonly span: Span;
  /** First and last line of the whole definition. */
  readonly lines: readonly [number, number];
  /** The last components of the names of its base classes. */
  readonly bases: readonly string[];
  readonly fields: readonly Field[];
  /** Whether modules are also added in ways that are not followed, such as `setattr`. */
  readonly dynamic: boolean;
  /** Whether its name occurs elsewhere in its file, other than in quotes or as a base class: something uses it. */
  readonly mentioned: boolean;
  /** Paths, without `.weight`, of tensors tied to another, which a checkpoint may omit. */
  readonly tied: readonly string[];
}

export const UNKNOWN: ModuleExpression = { kind: 'unknown' };

/**
 * Modules whose tensors are their direct children. `out-in`: the constructor takes (in, out) for a matrix of shape
 * (out, in).
 */
export const LEAVES: Readonly<Record<string, 'out-in' | 'as-given' | 'free'>> = {
  Linear: 'out-in',
  Conv1D: 'free',
  Embedding: 'as-given',
  EmbeddingBag: 'as-given',
  Bilinear: 'free',
  Conv1d: 'free',
  Conv2d: 'free',
  Conv3d: 'free',
  ConvTranspose1d: 'free',
  ConvTranspose2d: 'free',
  ConvTranspose3d: 'free',
  LayerNorm: 'free',
  RMSNorm: 'free',
  GroupNorm: 'free',
  BatchNorm1d: 'free',
  BatchNorm2d: 'free',
  BatchNorm3d: 'free',
  ColumnParallelLinear: 'free',
  RowParallelLinear: 'free',
  ParallelEmbedding: 'free',
};

/** Modules without tensors. */
export const EMPTY: ReadonlySet<string> = new Set([
  ...['ReLU', 'GELU', 'SiLU', 'Tanh', 'Sigmoid', 'Softmax', 'LogSoftmax', 'ELU', 'LeakyReLU', 'Mish', 'Hardswish'],
  ...['Dropout', 'Dropout1d', 'Dropout2d', 'DropPath', 'Identity', 'Flatten', 'Unflatten', 'Softplus', 'GLU', 'ReLU6'],
  ...['MaxPool1d', 'MaxPool2d', 'AvgPool1d', 'AvgPool2d', 'AdaptiveAvgPool1d', 'AdaptiveAvgPool2d', 'Upsample'],
  ...['CrossEntropyLoss', 'MSELoss', 'BCEWithLogitsLoss', 'NLLLoss', 'ZeroPad2d', 'PixelShuffle'],
]);

/** Base classes that add no modules. */
export const PLAIN_BASES: ReadonlySet<string> = new Set([
  ...['Module', 'object', 'ABC', 'Generic', 'Protocol', 'LightningModule', 'PreTrainedModel', 'GenerationMixin'],
  ...['GradientCheckpointingLayer', 'PyTorchModelHubMixin', 'ModelMixin', 'ConfigMixin', 'ModuleUtilsMixin'],
]);
