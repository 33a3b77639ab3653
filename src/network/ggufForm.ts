import { elementCount } from '../base/shape.ts';
import { MAX_EXPERTS } from '../bytes/limits.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { descriptionOf, type Tensor } from '../checkpoint/tensor.ts';
import { type Arrangement, type Rearrangement, rearranged } from '../formats/gguf/rearranged.ts';
import { type GgufArchitecture, ggufArchitecture, variantFor } from '../model/names/ggufArchitectures.ts';
import { type GgufName, ggufName, huggingFaceName } from '../model/names/ggufNames.ts';

/** A GGUF checkpoint in the form that Hugging Face's code expects. */
export interface GgufForm {
  /** Its tensors with their names and row order there; stacks of experts are split. */
  readonly checkpoint: Checkpoint;
  /**
   * The names there of a tensor of the file: several for a stack of experts, none for values that the code computes.
   */
  namesOf(name: string): readonly string[];
  /** The output layer that uses the embedding's matrix, so that the file has none of its own. */
  readonly tiedHead?: { readonly embedding: string; readonly head: string };
  /** Parameters of the tensors that are left out. */
  readonly parametersLeftOut: number;
  /** Remarks for users, one sentence each. */
  readonly remarks: readonly string[];
}

/** Tensors that llama.cpp stores, but Hugging Face's code computes from the configuration. */
const COMPUTED = /^(blk\.\d+\.)?(rope_freqs|rope_factors_long|rope_factors_short|attn_rot_embd)\.weight$/;

/**
 * Undoes what llama.cpp's converter (convert_hf_to_gguf.py) does to names, to the rows of q and k (its rotary positions
 * pair neighbours), to fused q, k and v, to GPT-2's transposed weights and to Gemma's norms. Undefined for other
 * formats. Unknown architectures, and tensors missing from the table of a known one, keep their names, with a remark.
 */
export function ggufForm(checkpoint: Checkpoint): GgufForm | undefined {
  if (checkpoint.format !== 'gguf') return undefined;
  const { tensors, metadata } = checkpoint;
  const name = metadata.get('general.architecture');
  const known = ggufArchitecture(name);
  const keep = (remark: string): GgufForm => ({
    checkpoint,
    namesOf: (own) => [own],
    parametersLeftOut: 0,
    remarks: [`${remark}: names and the order of rows are llama.cpp's, which fit no Hugging Face model.`],
  });
  if (!known) return keep(`The architecture ${name ? JSON.stringify(name) : '(none is named)'} is unknown`);
  const architecture = variantFor(
    known,
    tensors.map((tensor) => tensor.name),
  );
  const heads = headsOf(metadata, name!);
  if ((architecture.pairedRows || architecture.fusedByPart) && !heads)
    return keep('The file does not say how many attention heads every layer has');

  const names = new Map<string, readonly string[]>();
  const made: Tensor[] = [];
  const unknown: string[] = [];
  let parametersLeftOut = 0;
  for (const tensor of tensors) {
    if (COMPUTED.test(tensor.name)) {
      names.set(tensor.name, []);
      parametersLeftOut += elementCount(tensor.shape);
      continue;
    }
    const own = inForm(tensor, architecture, heads);
    if (!own) unknown.push(tensor.name);
    const those = own ?? [keptAs(tensor, tensor.name)];
    names.set(
      tensor.name,
      those.map((each) => each.name),
    );
    made.push(...those.map(rearranged));
  }
  const remarks: string[] = [];
  if (unknown.length > 0)
    remarks.push(
      `${unknown.length} tensors keep llama.cpp's names, because their other names are unknown (${unknown.slice(0, 3).join(', ')}${unknown.length > 3 ? ' ...' : ''}).`,
    );
  const tiedHead = tiedHeadOf(architecture, tensors);
  if (tiedHead) remarks.push(`The file has no ${tiedHead.head}: the model uses ${tiedHead.embedding} for it (tied).`);
  return {
    checkpoint: { ...checkpoint, tensors: made },
    namesOf: (own) => names.get(own) ?? [own],
    ...(tiedHead ? { tiedHead } : {}),
    parametersLeftOut,
    remarks,
  };
}

function tiedHeadOf({ outside: { token_embd, output } }: GgufArchitecture, tensors: readonly Tensor[]) {
  const has = (name: string) => tensors.some((tensor) => tensor.name === name);
  if (!output || !token_embd || !has('token_embd.weight') || has('output.weight')) return undefined;
  return { embedding: `${token_embd}.weight`, head: `${output}.weight` };
}

interface Heads {
  readonly queries: number;
  readonly keys: number;
}

function headsOf(metadata: ReadonlyMap<string, string>, architecture: string): Heads | undefined {
  const count = (key: string) => Number(metadata.get(`${architecture}.attention.${key}`) ?? Number.NaN);
  const queries = count('head_count');
  const keys = metadata.has(`${architecture}.attention.head_count_kv`) ? count('head_count_kv') : queries;
  const areCounts = [queries, keys].every((heads) => Number.isSafeInteger(heads) && heads > 0);
  return areCounts ? { queries, keys } : undefined;
}

/** The tensors that replace one; undefined if the architecture's table lacks it or expects another shape. */
function inForm(tensor: Tensor, architecture: GgufArchitecture, heads: Heads | undefined): Rearrangement[] | undefined {
  const parts = ggufName(tensor.name);
  if (!parts || parts.slice !== null) return undefined;
  const { part, parameter } = parts;
  const name = huggingFaceName(architecture, parts);
  if (name === undefined) return sliced(tensor, architecture, parts);
  const own = keptAs(tensor, name);
  if (architecture.normsPlusOne && parameter === 'weight' && part.endsWith('norm'))
    return [{ ...own, storage: `${own.storage} less one`, plus: -1 }];
  // A single output is kept as a vector by llama.cpp.
  if (part === 'ffn_gate_inp_shexp' && tensor.shape.length === 1) return [{ ...own, shape: [1, ...tensor.shape] }];
  if (architecture.transposed?.includes(part) && tensor.shape.length === 2) {
    const [rows, cols] = tensor.shape as [number, number];
    const arrangement: Arrangement = { kind: 'transposed', rows, cols };
    return [{ ...own, shape: [cols, rows], transposed: true, storage: `${own.storage} transposed`, arrangement }];
  }
  const rowAt = rowOrder(part, tensor.shape[0] ?? 0, architecture, heads);
  if (rowAt === undefined) return [own];
  if (rowAt === null) return undefined;
  const cols = elementCount(tensor.shape.slice(1));
  return [{ ...own, storage: `${own.storage} rows in order`, arrangement: { kind: 'rows', cols, rowAt } }];
}

function keptAs(tensor: Tensor, name: string): Rearrangement {
  return { ...descriptionOf(tensor), name, origin: tensor, offset: 0 };
}

/** A stack of experts as a tensor for each. */
function sliced(tensor: Tensor, architecture: GgufArchitecture, parts: GgufName): Rearrangement[] | undefined {
  const [experts = 0, ...shape] = tensor.shape;
  if (!(experts > 0 && experts <= MAX_EXPERTS) || huggingFaceName(architecture, { ...parts, slice: 0 }) === undefined)
    return undefined;
  const elements = elementCount(shape);
  return Array.from({ length: experts }, (_, slice) => ({
    ...keptAs(tensor, huggingFaceName(architecture, { ...parts, slice })!),
    shape,
    bytes: tensor.bytes / experts,
    storage: `${tensor.storage}[${slice}]`,
    offset: slice * elements,
  }));
}

/** Maps a row there to a row of the file; undefined if they are the same, null if the sizes do not fit. */
function rowOrder(
  part: string,
  rows: number,
  { pairedRows, fusedByPart }: GgufArchitecture,
  heads: Heads | undefined,
): ((row: number) => number) | undefined | null {
  if (!heads) return undefined;
  const { queries, keys } = heads;
  if (pairedRows && (part === 'attn_q' || part === 'attn_k')) {
    const size = rows / (part === 'attn_q' ? queries : keys);
    return size % 2 === 0 ? pairedRow(size) : null;
  }
  if (!fusedByPart || part !== 'attn_qkv') return undefined;
  const size = rows / (queries + 2 * keys);
  return Number.isInteger(size) && queries % keys === 0 ? fusedRow(size, heads) : null;
}

/** The inverse of the converter's `permute`: row i of a head's half k is its row 2 i + k in the file. */
function pairedRow(size: number) {
  return (row: number) => {
    const within = row % size;
    const half = Math.floor((2 * within) / size);
    return row - within + 2 * (within - (half * size) / 2) + half;
  };
}

/** Groups of queries, a key and a value; the file has all queries, then all keys, then all values. */
function fusedRow(size: number, { queries, keys }: Heads) {
  const inGroup = queries / keys;
  return (row: number) => {
    const slot = Math.floor(row / size) % (inGroup + 2);
    const group = Math.floor(row / (size * (inGroup + 2)));
    const head = slot < inGroup ? group * inGroup + slot : queries + (slot === inGroup ? 0 : keys) + group;
    return head * size + (row % size);
  };
}
