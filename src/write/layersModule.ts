import { expertOfStack } from '../model/names/moduleOfWeight.ts';
import type { Plan } from '../model/plan/plan.ts';
import { CORE, SUPPORT } from './python.ts';
import { pythonLiteral } from './pythonLiteral.ts';
import { joinPython } from './pythonParts.ts';

/** What a module of layers for a person's own code holds. */
interface LayersRequest {
  /** 2: W = B A. 3: W = U S V. That of the plan by default, else 2. */
  readonly factors?: 2 | 3;
  /** Its ranks become the constant RANKS. */
  readonly plan?: Plan;
}

/**
 * A Python module that depends only on torch: every kind of low-rank layer with a constructor from the ordinary layer,
 * and `factorize`, which puts them into a model by a table of ranks.
 */
export function layersModule({ plan, factors = plan?.request.factors ?? 2 }: LayersRequest): string {
  const kinds = ['conv', 'conv1d', 'embedding', 'rows', 'expert_stack', 'experts', 'factorize'];
  const { imports, body } = joinPython([...CORE[factors], ...kinds, ...SUPPORT]);
  const linear = factors === 2 ? 'LowRankLinear' : 'SVDLinear';
  const ranks = plan && rankTable(plan);
  const isShared = plan?.matrices.some(({ rank, shared }) => rank !== null && shared !== undefined);
  const note = isShared ? '\n# Its matrices with a common factor get factors of their own here.' : '';
  const usage = ranks ? 'factorize(model, RANKS)' : 'factorize(model, {"layers.0.fc": 64})';
  return `"""Low-rank layers for PyTorch. Written by Rankscope.

    layer = ${linear}.from_linear(layer, rank=64)
    ${usage}

The layers work with torch.compile, torch.export, half precision and training. They start as the best approximation of
the weights, though not of what the weights make of their inputs: for that, use 'rankscope apply --calibration'.
"""

${imports}


${ranks ? `# The ranks of the plan, by the names of the checkpoint.${note}\nRANKS = ${pythonLiteral(ranks)}\n\n\n` : ''}${body}
`;
}

/** The ranks by the names of tensors, as `factorize` takes them: for experts that are one tensor, a list. */
function rankTable({ matrices }: Plan): Readonly<Record<string, number | readonly (number | null)[]>> {
  const table = new Map<string, number | (number | null)[]>();
  for (const { name, rank } of matrices) {
    const { stack = name, expert } = expertOfStack(name) ?? {};
    if (expert === undefined) {
      if (rank !== null) table.set(name, rank);
      continue;
    }
    const own = table.get(stack) ?? [];
    if (typeof own !== 'number') own[expert] = rank;
    table.set(stack, own);
  }
  return Object.fromEntries(
    [...table].filter(([, ranks]) => typeof ranks === 'number' || ranks.some((rank) => rank !== null)),
  );
}
