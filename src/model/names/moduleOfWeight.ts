/** The module whose weight a tensor is: `model.layers.0.mlp.up_proj` of `model.layers.0.mlp.up_proj.weight`. */
export function moduleOfWeight(tensor: string): string {
  return tensor.replace(/\.weight$/, '');
}
