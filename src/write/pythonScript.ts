import type { FactorType } from './encode.ts';
import { LOADER } from './python.ts';
import { pythonLiteral } from './pythonLiteral.ts';
import { joinPython } from './pythonParts.ts';

/** What both scripts need to know; their command line can replace it. */
export interface ScriptSettings {
  /** A folder for transformers, or a file. */
  readonly model: string;
  readonly text: string | null;
  readonly ids: string | null;
  readonly context: number | null;
  readonly tokens: number | null;
  /** The result, relative to the script's folder or absolute. */
  readonly out: string;
}

/** A plan, as far as a script needs it. */
export interface ScriptPlan {
  readonly name: string;
  /** By the names of the checkpoint for transformers. */
  readonly ranks: Readonly<Record<string, number>>;
  readonly factors: 2 | 3;
  readonly before: number;
  readonly after: number;
  readonly error: number;
}

export interface EvaluationScript extends ScriptSettings {
  readonly checkpoint: {
    readonly path: string;
    readonly format: string;
    readonly parameters: number;
    readonly bytes: number;
  };
  readonly ranks: readonly number[];
  /** The matrices that a rank cuts. */
  readonly cut: readonly string[];
  /** The type of factors; null for that of each matrix. */
  readonly factorType: FactorType | null;
  readonly plans: readonly ScriptPlan[];
  /** Groups of tied tensors of which one is cut. */
  readonly ties: readonly (readonly string[])[];
  readonly files: readonly string[];
  /** Whether the checkpoint itself holds factors. */
  readonly isFactorized: boolean;
}

/** What compressing needs beside the text. */
export interface CompressionScript extends ScriptSettings {
  readonly checkpoint: EvaluationScript['checkpoint'];
  readonly keep: number;
  readonly evaluate: string | null;
  /** Of the refinement of each block; 0 for none. */
  readonly steps: number;
  readonly rate: number;
  /** Of the rate, for a block that gains nothing at it. */
  readonly secondRate: number;
  readonly seed: number;
  /** The request of the plan, but for its budget. */
  readonly request: Readonly<Record<string, unknown>>;
  /** Names of the matrices that may be cut, by the types in which they are stored. */
  readonly cut: Readonly<Record<string, readonly string[]>>;
  readonly ties: readonly (readonly string[])[];
  /** What the checkpoint says of itself, which the result says as well. */
  readonly metadata: Readonly<Record<string, string>>;
}

const BOTH = ['model', 'windows', 'command'];
const CALIBRATION = ['calibrate', 'weight', 'inputs', 'names', 'plain', ...BOTH];
const DENSE = ['evaluate', 'measure', 'no_variants', 'plain', ...BOTH];
const WITH_FACTORS = [
  'evaluate',
  'measure',
  'variants',
  ...BOTH,
  'layer',
  'two_factors',
  'linear',
  'conv1d',
  'conv',
  'embedding',
  ...LOADER,
];
// Classes precede what is typed or made with them.
const COMPRESSION = [
  'compress',
  'layer',
  'two_factors',
  'linear',
  'conv1d',
  'blocks',
  'cut_layers',
  'plan_by_loss',
  'truncation',
  'refinement',
  'compression_text',
  'candidates',
  'plan_file',
  'factorized',
  'measure',
  'truncated',
  'triplets',
  'weight',
  'names',
  'plain',
  ...BOTH,
  'own_code',
  'classes',
  'product',
];
const TORCH_TYPES: Readonly<Record<FactorType, string>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

/** A script that measures with transformers what `rankscope evaluate` measures, and writes the same JSON. */
export function evaluationScript(script: EvaluationScript): string {
  const { checkpoint, ranks, files, cut, factorType, plans, ties, isFactorized } = script;
  const hasFactors = isFactorized || ranks.length + files.length + plans.length > 0;
  const variants = { FACTOR_DTYPE: factorType && TORCH_TYPES[factorType], CUT: cut, PLANS: plans, TIES: ties };
  return scriptOf(
    `Measures how well a model predicts a text, as it is${hasFactors ? ' and with low-rank matrices' : ''}.`,
    script,
    hasFactors ? { RANKS: ranks, FILES: files } : {},
    { CHECKPOINT: checkpoint, ...(hasFactors ? variants : {}) },
    hasFactors ? WITH_FACTORS : DENSE,
  );
}

/** A script that collects with transformers what `rankscope calibrate` collects, and writes the same file. */
export function calibrationScript(settings: ScriptSettings): string {
  return scriptOf(
    "Collects statistics of the inputs of a model's linear layers over a text.",
    settings,
    {},
    {},
    CALIBRATION,
  );
}

/** A script that does with transformers what `rankscope compress` does, and writes the same files. */
export function compressionScript(script: CompressionScript): string {
  const { checkpoint, keep, evaluate, steps, rate, secondRate, seed, request, cut, ties, metadata } = script;
  return scriptOf(
    'Compresses a model with the smallest loss on a text.',
    script,
    { KEEP: keep, EVALUATE: evaluate, STEPS: steps, RATE: rate, SECOND_RATE: secondRate, SEED: seed },
    { CHECKPOINT: checkpoint, REQUEST: request, CUT: cut, TIES: ties, METADATA: metadata },
    COMPRESSION,
  );
}

/** Short settings precede the code, long ones follow it. */
function scriptOf(
  title: string,
  { model, text, ids, context, tokens, out }: ScriptSettings,
  first: Readonly<Record<string, unknown>>,
  last: Readonly<Record<string, unknown>>,
  parts: readonly string[],
): string {
  const { imports, body } = joinPython(parts);
  const settings = { MODEL: model, TEXT: text, IDS: ids, CONTEXT: context, TOKENS: tokens, OUT: out, ...first };
  return `"""${title} Written by Rankscope.

It needs torch, transformers and safetensors, and works offline. --help shows what can be changed.
"""

${imports}

# What the command line does not say; OUT is relative to the folder of this file.
${assignments(settings)}


${body}


${Object.keys(last).length > 0 ? `${assignments(last)}\n\n` : ''}if __name__ == "__main__":
    run(main)
`;
}

function assignments(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} = ${pythonLiteral(value)}`)
    .join('\n');
}
