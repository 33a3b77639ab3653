import { formatWhole } from '../base/quantities.ts';
import type { FactorStyle } from '../model/factorStyle.ts';
import { expertOfStack } from '../model/names/moduleOfWeight.ts';
import type { Plan } from '../model/plan/plan.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { joinPython } from './pythonParts.ts';

export interface PythonRequest {
  readonly plan: Plan;
  /** As returned by `anatomy`; they determine the kinds of layers needed. */
  readonly matrices: readonly StoredMatrix[];
  /** File name of the factorized checkpoint, for the usage lines. */
  readonly weights: string;
  /** Remarks on the checkpoint for users of the code, one sentence each. */
  readonly remarks?: readonly string[];
  /** How the file calls the factors; our own names by default. */
  readonly style?: FactorStyle;
  /** File name of the original GGUF checkpoint, from which transformers reads the configuration. */
  readonly ggufFile?: string;
}

/**
 * Python modules with the layers that hold factors, and whether a matrix may belong to such a layer. Any
 * 2-D matrix may be that of a linear layer.
 */
const LAYERS: readonly (readonly [module: string, holds: (matrix: StoredMatrix) => boolean])[] = [
  ['conv1d', ({ transposed }) => transposed],
  [
    'embedding',
    ({ layer, role, tensor }) =>
      tensor.shape.length === 2 && (layer === null || role === 'embedding' || role === 'position'),
  ],
  ['conv', ({ tensor }) => tensor.shape.length > 2],
];

/** Python modules of the layers that every file with layers needs, by the number of factors, base classes first. */
export const CORE = {
  2: ['layer', 'two_factors', 'linear'],
  3: ['layer', 'three_factors', 'svd_linear'],
} as const;

/** Python modules that all layers need. */
export const SUPPORT = ['kinds', 'own_code', 'classes', 'truncated', 'triplets', 'product'] as const;

/** Python modules that every plan needs after its layers, from the most to the least interesting one. */
export const LOADER = [
  'rows',
  'expert_stack',
  'experts',
  'merged',
  'loader',
  'checkpoint',
  'values',
  ...SUPPORT,
] as const;

/**
 * A Python module that depends only on torch and safetensors: the layers that hold factors, as far as they are needed,
 * and `load_lowrank`, which puts them into a model and loads the factorized checkpoint.
 */
export function pythonModule({
  plan,
  matrices,
  weights,
  remarks = [],
  style = 'rankscope',
  ggufFile,
}: PythonRequest): string {
  const byName = new Map(matrices.map((matrix) => [matrix.name, matrix]));
  const planned = plan.matrices.flatMap(({ name, rank }) => (rank === null ? [] : [byName.get(name)!])).filter(Boolean);
  // Experts of a stack are linear layers.
  const own = planned.filter(({ name }) => !expertOfStack(name));
  const layers = LAYERS.filter(([, holds]) => own.some(holds)).map(([name]) => name);
  const { imports, body } = joinPython(
    style === 'rankscope' ? [...CORE[plan.request.factors], ...layers, ...LOADER] : [style, 'style_loader', 'own_code'],
  );
  const { parametersBefore, parametersAfter, error } = plan.totals;
  const summary = [
    `${planned.length} of ${plan.matrices.length} matrices hold factors: ${formatWhole(parametersAfter)} of the ${formatWhole(parametersBefore)} parameters that the`,
    `plan could cut, relative error ${error.toPrecision(3)}.`,
  ];
  return `"""Low-rank layers for ${safe(weights)}, and a loader that puts them into the model. Written by Rankscope.

${[...summary, ...remarks.map(safe)].join('\n')}

${ggufFile === undefined ? '' : `    config = transformers.AutoConfig.from_pretrained(".", gguf_file="${safe(ggufFile)}")\n`}    model = TheModel(config)
    load_lowrank(model, "${safe(weights)}")
"""

${imports}


${body}
`;
}

/** A file name for a docstring: it must neither end the string nor start an escape. */
function safe(name: string): string {
  return name.replace(/[\\"\p{Cc}]/gu, '_');
}
