import { isDenseRole, type Role } from '../names/roles.ts';

/** Which modules of a network LoRA adapts, as tutorials and papers name them. */
export const TARGET_SETS = ['q,v', 'attention', 'mlp', 'all-linear'] as const;
export type TargetSet = (typeof TARGET_SETS)[number];

const ATTENTION: ReadonlySet<Role> = new Set(['query', 'key', 'value', 'output', 'qkv']);
const MLP: ReadonlySet<Role> = new Set(['gate', 'up', 'down', 'gateUp']);
/** A fused layer can only be adapted as a whole. */
const QUERY_VALUE: ReadonlySet<Role> = new Set(['query', 'value', 'qkv']);

/** Whether the modules of a role belong to a set. `all-linear` has no embeddings, heads, routers or convolutions. */
export function inTargetSet(role: Role, set: TargetSet): boolean {
  if (set === 'q,v') return QUERY_VALUE.has(role);
  if (set === 'attention') return ATTENTION.has(role);
  if (set === 'mlp') return MLP.has(role);
  return !isDenseRole(role) && role !== 'adapter' && role !== 'convolution';
}

/** How many of the matrices of the paper a layer holds: a fused layer stands for several. */
export function matricesInRole(role: Role, set: TargetSet): number {
  if (role === 'qkv') return set === 'q,v' ? 2 : 3;
  return role === 'gateUp' ? 2 : 1;
}
