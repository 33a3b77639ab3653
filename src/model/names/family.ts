import type { Role } from './roles.ts';

/**
 * How one family of networks names its tensors. A path is a tensor's name without wrappers (`model.`, `module.` ...)
 * and without `.weight`, every number in it written `#`.
 */
export interface Family {
  readonly name: string;
  /** Roles by path, grouped by the path of the layer stack; '' holds everything outside it. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Role>>>>;
  /** Paths that only this family has; they decide between families with otherwise equal names. */
  readonly marks?: readonly string[];
  /**
   * Modules stored as (in, out). If `witnesses` are given, this applies only if one of them is wider than tall: some
   * re-implementations keep the names but store (out, in).
   */
  readonly transposed?: { readonly modules: readonly string[]; readonly witnesses?: readonly string[] };
  /** Words that, with their number, add nothing (T5's `layer.0.SelfAttention`); omitted from the module's name. */
  readonly collapse?: readonly string[];
  /** Modules that are not weights, with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** Paths that families of the LLaMA kind share. */
export const LLAMA_BLOCK = {
  'self_attn.q_proj': 'query',
  'self_attn.k_proj': 'key',
  'self_attn.v_proj': 'value',
  'self_attn.o_proj': 'output',
  'mlp.gate_proj': 'gate',
  'mlp.up_proj': 'up',
  'mlp.down_proj': 'down',
} as const;

export const LLAMA_OUTER = { embed_tokens: 'embedding', lm_head: 'head' } as const;
