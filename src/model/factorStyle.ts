/**
 * How two factors W = B A are called in a file. `rankscope`: our own names. `sequential`: torch's nn.Sequential of two
 * layers. `uv`: the modules of SVD-LLM (Wang et al. 2025). `ab`: those of ASVD (Yuan et al. 2023), whose ALinear is B.
 */
export const FACTOR_STYLES = ['rankscope', 'sequential', 'uv', 'ab'] as const;
export type FactorStyle = (typeof FACTOR_STYLES)[number];

/** The names of a layer that became two. */
export interface FactorNames {
  /** A (rank x in), which is applied first. */
  readonly down: string;
  /** B (out x rank). */
  readonly up: string;
  readonly bias: string;
}

/** @param module the path of the layer, without `.weight` */
export function factorNames(module: string, style: FactorStyle): FactorNames {
  if (style === 'rankscope')
    return { down: `${module}.lowrank_a.weight`, up: `${module}.lowrank_b.weight`, bias: `${module}.bias` };
  if (style === 'uv') {
    const stem = module.replace(/_proj$/, '');
    return { down: `${stem}_v_proj.weight`, up: `${stem}_u_proj.weight`, bias: `${stem}_u_proj.bias` };
  }
  const [first, second] = style === 'ab' ? ['BLinear', 'ALinear'] : ['0', '1'];
  return { down: `${module}.${first}.weight`, up: `${module}.${second}.weight`, bias: `${module}.${second}.bias` };
}
