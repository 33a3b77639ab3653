import type { Opened } from '../../checkpoints/opened.ts';

/** Classes of transformers with a head that predicts tokens, which they call `lm_head` where a file leaves it out. */
const WITH_HEAD = /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/;

/** The head that shares the weight of an embedding; undefined for any other module. */
export function tiedHead({ checkpoint, anatomy, ties }: Opened, module: string): string | undefined {
  const { matrices } = anatomy;
  const table = matrices.find(({ tensorName }) => tensorName === `${module}.weight`);
  if (table?.role !== 'embedding') return undefined;
  const heads = new Set(matrices.filter(({ role }) => role === 'head').map(({ tensorName }) => tensorName));
  const group = ties().find((names) => names.includes(table.tensorName)) ?? [];
  const twin = group.find((name) => heads.has(name));
  if (twin !== undefined) return twin.replace(/\.weight$/, '');
  const { tie_word_embeddings: tied, architectures } = checkpoint.configuration ?? {};
  const named = Array.isArray(architectures) ? architectures[0] : undefined;
  return heads.size === 0 && tied !== false && typeof named === 'string' && WITH_HEAD.test(named)
    ? 'lm_head'
    : undefined;
}
