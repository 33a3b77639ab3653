/** What Python code says about the modules of a network, as plain data: no syntax tree, no editor. */

/** Zero-based line and UTF-16 column, the end exclusive; all on one line. */
export interface Span {
  readonly line: number;
  readonly start: number;
  readonly end: number;
}

/** What is assigned to an attribute of a module. */
export type ModuleExpression =
  /** A constructor's call; `sizes` are its leading arguments where they are whole numbers. */
  | { readonly kind: 'call'; readonly callee: string; readonly sizes: readonly (number | null)[] }
  /** ModuleList and Sequential; of `repeated` there are any number. */
  | { readonly kind: 'list'; readonly items: readonly ModuleExpression[]; readonly repeated: boolean }
  | { readonly kind: 'dict'; readonly entries: readonly Field[] }
  | { readonly kind: 'either'; readonly options: readonly ModuleExpression[] }
  | { readonly kind: 'parameter' }
  /** Something that may be a module or not, and is then of unknown content. */
  | { readonly kind: 'unknown' };

export interface Field {
  readonly name: string;
  readonly span: Span;
  readonly value: ModuleExpression;
  /** Assigned only under a condition. */
  readonly optional: boolean;
}

export interface ModuleClass {
  readonly name: string;
  readonly span: Span;
  /** First and last line of the whole definition. */
  readonly lines: readonly [number, number];
  /** The last parts of the names of its base classes. */
  readonly bases: readonly string[];
  readonly fields: readonly Field[];
  /** Modules are also added in ways that are not followed, such as `setattr`. */
  readonly dynamic: boolean;
  /** Its name also stands elsewhere in its file, not in quotes and not as a base class: something there makes use of it. */
  readonly mentioned: boolean;
  /** Paths of tensors, without `.weight`, that are the same tensor as another and may be missing in a checkpoint. */
  readonly tied: readonly string[];
}

export const UNKNOWN: ModuleExpression = { kind: 'unknown' };

/** Modules whose tensors lie directly in them, and the argument order of the matrix's shape where it is (out, in) or (rows, columns). */
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

/** Base classes that bring no modules of their own. */
export const PLAIN_BASES: ReadonlySet<string> = new Set([
  ...['Module', 'object', 'ABC', 'Generic', 'Protocol', 'LightningModule', 'PreTrainedModel', 'GenerationMixin'],
  ...['GradientCheckpointingLayer', 'PyTorchModelHubMixin', 'ModelMixin', 'ConfigMixin', 'ModuleUtilsMixin'],
]);
