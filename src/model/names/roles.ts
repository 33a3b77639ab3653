/** The function of a matrix in its block, whatever name its family uses. */
export type Role =
  | 'query'
  | 'key'
  | 'value'
  | 'output'
  | 'qkv'
  | 'gate'
  | 'up'
  | 'down'
  | 'gateUp'
  | 'router'
  | 'embedding'
  | 'position'
  | 'head'
  | 'norm'
  | 'stem'
  | 'adapter'
  | 'convolution'
  | 'other';

/**
 * The roles of what surrounds the layers of a network or steers them: tables that are looked up, what the input and the
 * output pass through, and routers. Such matrices are small, or each of their rows matters by itself, so that a plan
 * leaves them dense unless it is told otherwise.
 */
export const DENSE_ROLES = ['embedding', 'head', 'router', 'position', 'norm', 'stem'] as const;
export type DenseRole = (typeof DENSE_ROLES)[number];

export function isDenseRole(role: Role): role is DenseRole {
  return (DENSE_ROLES as readonly Role[]).includes(role);
}

/** Words that imply a role as the last part of any module's path; for names that no family lists. */
const ROLE_WORDS: ReadonlyMap<string, Role> = new Map<string, Role>(
  Object.entries({
    query: 'q q_proj query wq to_q q_lin attn_q query_proj',
    key: 'k k_proj key wk to_k k_lin attn_k key_proj',
    value: 'v v_proj value wv to_v v_lin attn_v value_proj',
    output: 'o o_proj out_proj wo to_out out_lin attn_output',
    qkv: 'qkv qkv_proj query_key_value wqkv Wqkv c_attn in_proj in_proj_weight attn_qkv',
    gate: 'gate_proj w1 wi_0 ffn_gate',
    up: 'up_proj w3 wi_1 wi fc1 c_fc lin1 ffn_up dense_h_to_4h',
    down: 'down_proj w2 fc2 lin2 ffn_down dense_4h_to_h',
    gateUp: 'gate_up_proj w12 w13',
    adapter: 'lora_A lora_B lora_down lora_up lora_a lora_b lora_embedding_A lora_embedding_B',
  } satisfies Partial<Record<Role, string>>).flatMap(([role, words]) =>
    words.split(' ').map((word) => [word, role as Role] as const),
  ),
);

/** The role implied by the last word of a module's path, else `other`. */
export function roleOfWord(module: string): Role {
  return ROLE_WORDS.get(module.slice(module.lastIndexOf('.') + 1)) ?? 'other';
}
