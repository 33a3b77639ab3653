/** The module whose weight a tensor is: `model.layers.0.mlp.up_proj` of `model.layers.0.mlp.up_proj.weight`. */
export function moduleOfWeight(tensor: string): string {
  return tensor.replace(/\.weight$/, '');
}

/** The weight of a module; an expert of a stack, `NAME[3]`, is the weight itself. */
export function weightOfModule(module: string): string {
  return expertOfStack(module) ? module : `${module}.weight`;
}

/** The stack and the number of a matrix `NAME[3]`; undefined for any other name. */
export function expertOfStack(matrix: string): { readonly stack: string; readonly expert: number } | undefined {
  const [, stack, expert] = /^(.*[^\]])\[(\d+)\]$/.exec(matrix) ?? [];
  return stack === undefined ? undefined : { stack, expert: Number(expert) };
}

/** The module that holds the factors of a matrix in what is written: `NAME.experts.3` for an expert of a stack. */
export function factorModule(matrix: string): string {
  const place = expertOfStack(matrix);
  return place ? `${place.stack}.experts.${place.expert}` : moduleOfWeight(matrix);
}
