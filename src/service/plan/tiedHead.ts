import type { Matrix } from '../../model/matrix.ts';
import { ggufForm } from '../../network/ggufForm.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** An embedding that is the head of the model as well, and the name of that head, which the file does not have. */
interface TiedHead {
  readonly embedding: string;
  readonly head: string;
}

/** The names in GGUF. */
const OF_GGUF: TiedHead = { embedding: 'token_embd.weight', head: 'output.weight' };
/** Classes of transformers whose head is `lm_head`, by their last words. */
const HAS_HEAD = /(?:ForCausalLM|LMHeadModel|ForConditionalGeneration)$/;

/**
 * The head that the checkpoint lacks because its format or the configuration of the model ties it to the embedding:
 * `tie_word_embeddings` of config.json, with a class in `architectures` that has a head. Undefined where neither says
 * so, or where several embeddings might be meant.
 */
export function tiedHead({ checkpoint, anatomy }: Pick<Opened, 'checkpoint' | 'anatomy'>): TiedHead | undefined {
  if (ggufForm(checkpoint)?.tiedHead) return OF_GGUF;
  const { tie_word_embeddings: tied, architectures, text_config: text } = checkpoint.configuration ?? {};
  const tiedText = (text as { tie_word_embeddings?: unknown } | null | undefined)?.tie_word_embeddings;
  if ((tied ?? tiedText) !== true || !Array.isArray(architectures) || !HAS_HEAD.test(String(architectures[0]))) return;
  const embedding = onlyEmbedding(anatomy.matrices);
  return embedding === undefined ? undefined : { embedding, head: 'lm_head.weight' };
}

/** The one table of the largest vocabulary; undefined if there are several, or a head beside it. */
function onlyEmbedding(matrices: readonly Matrix[]): string | undefined {
  const tables = matrices.filter(({ role, layer }) => role === 'embedding' && layer === null);
  const vocabulary = Math.max(...tables.map(({ shape }) => shape[0]));
  const largest = tables.filter(({ shape }) => shape[0] === vocabulary);
  const hasHead = matrices.some(({ role, shape }) => role === 'head' && 2 * shape[0] > vocabulary);
  return largest.length === 1 && !hasHead ? largest[0]!.tensorName : undefined;
}
