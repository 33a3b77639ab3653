/**
 * The modules of a layer in the order of the forward pass, as patterns that are tried in turn. Files are often sorted
 * by name, which puts down before gate and k before q, but people read a layer along the data flow. Unknown modules
 * come last.
 */
const FLOW: readonly RegExp[] = [
  /c_attn|qkv|query_key_value|in_proj|Wqkv/i,
  /(^|[._])(q|wq|query|q_proj|q_lin)([._]|$)/i,
  /(^|[._])(k|wk|key|k_proj|k_lin)([._]|$)/i,
  /(^|[._])(v|wv|value|v_proj|v_lin)([._]|$)/i,
  /(attn|attention).*(^|[._])(o|wo|o_proj|out_proj|out_lin|c_proj|dense|proj)([._]|$)|(^|[._])(wo|o_proj)([._]|$)/i,
  /attn|attention/i,
  /router|gate\.weight|mlp\.gate$|block_sparse_moe\.gate$/i,
  /gate_up/i,
  /(^|[._])(gate_proj|w1|gate)([._]|$)/i,
  /(^|[._])(up_proj|w3|up|fc1|lin1|c_fc|fc_in|wi|wi_0|wi_1|dense_h_to_4h|intermediate)([._]|$)/i,
  /(^|[._])(down_proj|w2|down|fc2|lin2|c_proj|fc_out|dense_4h_to_h|output)([._]|$)/i,
];

/** The suffix of a matrix's factors, which take the place of the matrix. */
const FACTOR = /\.(?:lowrank_[ab]|svd_[usv]|lora_(?:embedding_)?[AB](?:\.[^.]+)?)$/;

const natural = new Intl.Collator('en', { numeric: true });

/**
 * Sorts module names along the data flow. Modules of one parent stay together at the place of the first; experts and
 * other numbered parents are sorted by number.
 */
export function orderModules(modules: readonly string[]): string[] {
  const wholes = new Map(modules.map((module) => [module, module.replace(FACTOR, '')]));
  const places = new Map(orderWholes([...new Set(wholes.values())]).map((whole, place) => [whole, place]));
  const placeOf = (module: string) => places.get(wholes.get(module)!)!;
  return [...modules].sort((a, b) => placeOf(a) - placeOf(b) || natural.compare(a, b));
}

function orderWholes(modules: readonly string[]): string[] {
  const flow = new Map(modules.map((module) => [module, flowOf(module)]));
  const firstOfParent = new Map<string, number>();
  for (const module of modules) {
    const parent = parentOf(module);
    firstOfParent.set(parent, Math.min(flow.get(module)!, firstOfParent.get(parent) ?? FLOW.length));
  }
  return [...modules].sort((a, b) => {
    const left = parentOf(a);
    const right = parentOf(b);
    if (left === right) return flow.get(a)! - flow.get(b)! || natural.compare(a, b);
    return (
      Number(isExpert(left)) - Number(isExpert(right)) ||
      (isExpert(left) ? 0 : firstOfParent.get(left)! - firstOfParent.get(right)!) ||
      natural.compare(left, right)
    );
  });
}

function flowOf(module: string): number {
  const found = FLOW.findIndex((pattern) => pattern.test(module));
  return found < 0 ? FLOW.length : found;
}

function parentOf(module: string): string {
  return module.slice(0, Math.max(0, module.lastIndexOf('.')));
}

function isExpert(parent: string): boolean {
  return /(?:^|\.)experts\.\d+/.test(parent);
}
