import type { AttentionHeads } from './diff/diff.ts';
import type { Role } from './names/roles.ts';

type Named = Readonly<Record<string, unknown>>;

const QUERIES = ['num_attention_heads', 'n_heads', 'n_head', 'num_heads', 'head_count'];
const KEYS = ['num_key_value_heads', 'n_kv_heads', 'num_kv_heads', 'head_count_kv'];
/** Where models of several towers keep what concerns the language model. */
const PARTS = ['text_config', 'llm_config', 'language_config'];

/**
 * The numbers of attention heads by config.json or GGUF's metadata; null if they name none, or heads of keys that do
 * not divide those of queries.
 */
export function attentionHeads(
  configuration: Named | undefined,
  metadata: ReadonlyMap<string, string>,
): AttentionHeads | null {
  const architecture = metadata.get('general.architecture');
  const places = [configuration, ...PARTS.map((part) => configuration?.[part])];
  const find = (keys: readonly string[]) => {
    for (const place of places) {
      if (typeof place !== 'object' || place === null) continue;
      for (const key of keys) if (isCount((place as Named)[key])) return (place as Named)[key] as number;
    }
    const stored = keys.map((key) => Number(metadata.get(`${architecture}.attention.${key}`) ?? Number.NaN));
    return stored.find(isCount);
  };
  const queries = find(QUERIES);
  if (queries === undefined) return null;
  const multiQuery = configuration?.multi_query === true && configuration?.new_decoder_architecture !== true;
  const keys = find(KEYS) ?? (multiQuery ? 1 : queries);
  return queries % keys === 0 ? { queries, keys } : null;
}

/** Architectures whose fused projection holds the query, key and value of one head after the other. */
const BY_HEAD = ['gpt_neox', 'gpt_neox_japanese', 'bloom', 'persimmon'];

/** Whether a fused projection of queries, keys and values is a stack of heads, each with its three parts. */
export function fusesByHead(configuration: Named | undefined): boolean {
  const { model_type: type, multi_query: isShared, new_decoder_architecture: isGrouped } = configuration ?? {};
  if (type === 'falcon' || type === 'RefinedWeb' || type === 'RefinedWebModel')
    return isShared === false && isGrouped !== true;
  return typeof type === 'string' && BY_HEAD.includes(type);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

/** The block of an [out, in] matrix that belongs to one head: some of its rows, or of its columns. */
export interface HeadBlock {
  readonly axis: 'rows' | 'columns';
  readonly from: number;
  readonly count: number;
}

/**
 * The blocks of all heads of a query, key, value or output projection, or of one that is fused by head; undefined for
 * others, and for unfit sizes.
 */
export function headBlocks(
  role: Role,
  [out, inputs]: readonly [number, number],
  heads: AttentionHeads | null,
  byHead: boolean,
): HeadBlock[] | undefined {
  if (!heads) return undefined;
  const axis = role === 'output' ? 'columns' : 'rows';
  const number = role === 'query' || role === 'output' ? heads.queries : heads.keys;
  const isFused = role === 'qkv' && byHead && heads.queries === heads.keys;
  if (!isFused && !['query', 'output', 'key', 'value'].includes(role)) return undefined;
  const size = (axis === 'rows' ? out : inputs) / number;
  if (!Number.isInteger(size) || size < 1) return undefined;
  return Array.from({ length: number }, (_, head) => ({ axis, from: head * size, count: size }));
}
