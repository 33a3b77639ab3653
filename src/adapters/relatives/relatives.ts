import type { JsonObject } from '../../bytes/boundedJson.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import { formVblora } from './bank.ts';
import { formC3a, formGralora } from './blocks.ts';
import { formDelora } from './delora.ts';
import type { Formed, FormLayer, LayerParts } from './method.ts';
import { formPvera, formTinylora, formUnilora, formVera } from './shared.ts';
import { formShira, formSupertuning } from './sparse.ts';

/** The layers of one adapter by a method of PEFT whose update is computed from other parts than two factors. */
export interface Relative {
  /** The adapter's name if the file names it. */
  readonly adapter: string | undefined;
  readonly layers: readonly RelativeLayer[];
  /** Parts that all layers share, by their words. */
  readonly shared: ReadonlyMap<string, Tensor>;
}

interface RelativeLayer {
  readonly target: string;
  readonly form: FormLayer;
  readonly own: ReadonlyMap<string, Tensor>;
}

const FORMS: Readonly<Record<string, FormLayer>> = {
  vblora: formVblora,
  c3a: formC3a,
  gralora: formGralora,
  delora: formDelora,
  vera: formVera,
  pvera: formPvera,
  shira: formShira,
  supertuning: formSupertuning,
  unilora: formUnilora,
  tinylora: formTinylora,
};
const WORDS =
  'vblora_logits_[AB](?:_topk_(?:indices|weights))?|c3a_kernel|gralora_[AB](?:_general)?|delora_(?:A|B|lambda|w_norm)|' +
  'p?vera_lambda_[bd]|shira_(?:weight|indices)|supertuning_(?:values|indices|lora_[AB])|unilora_(?:indices|scales)_[AB]|' +
  'tinylora_[ABP]';
const OWN = new RegExp(`^(?:base_model\\.model\\.)?(.+)\\.(${WORDS})(?:\\.([^.]+))?(?:\\.weight)?$`);
const SHARED =
  /^(?:base_model\.)?(?:.+\.)?(p?vera_[AB]|vblora_vector_bank|unilora_theta_d|tinylora_v)(?:\.([^.\d][^.]*))?(?:\.(\d+))?$/;

/** The adapters of such methods among `tensors`, by their names. */
export function findRelatives(tensors: readonly Tensor[]): readonly Relative[] {
  const layers = new Map<string | undefined, Map<string, RelativeLayer & { readonly own: Map<string, Tensor> }>>();
  const shared = new Map<string | undefined, Map<string, Tensor>>();
  for (const tensor of tensors) {
    const [, target, word, named] = OWN.exec(tensor.name) ?? [];
    if (target !== undefined && word !== undefined) {
      const adapter = named === 'weight' || named === 'default' ? undefined : named;
      const form = FORMS[word.slice(0, word.indexOf('_'))]!;
      const own = layers.get(adapter) ?? new Map<string, RelativeLayer & { readonly own: Map<string, Tensor> }>();
      const layer = own.get(target) ?? { target, form, own: new Map<string, Tensor>() };
      layer.own.set(word, tensor);
      own.set(target, layer);
      layers.set(adapter, own);
      continue;
    }
    const [, common, name, index = ''] = SHARED.exec(tensor.name) ?? [];
    if (common === undefined) continue;
    const adapter = name === 'default' ? undefined : name;
    const parts = shared.get(adapter) ?? new Map<string, Tensor>();
    parts.set(common + index, tensor);
    shared.set(adapter, parts);
  }
  const names = new Set([...layers.keys(), ...shared.keys()]);
  return [...names].map((adapter) => ({
    adapter,
    layers: [...(layers.get(adapter)?.values() ?? [])],
    shared: shared.get(adapter) ?? new Map<string, Tensor>(),
  }));
}

/** The update of each layer with its tensors, or the reason why it has none. */
export async function formRelative(
  { layers, shared }: Relative,
  settings: JsonObject,
  signal: AbortSignal | undefined,
): Promise<readonly { readonly target: string; readonly tensors: readonly Tensor[]; readonly formed: Formed }[]> {
  const found: { target: string; tensors: readonly Tensor[]; formed: Formed }[] = [];
  for (const { target, form, own } of layers) {
    const parts: LayerParts = { target, own, shared, settings, layers };
    const formed = bounded(await form(parts, signal));
    const tensors = typeof formed === 'string' ? [...own.values()] : formed.stored.tensors;
    found.push({ target, tensors, formed });
  }
  return found;
}

/** Bounds on what is computed from a file that may be far smaller: 2 GiB of a matrix in f64, 1 GiB of its factors. */
const MOST_ENTRIES = 2 ** 28;
const MOST_IN_FACTORS = 2 ** 27;

function bounded(formed: Formed): Formed {
  if (typeof formed === 'string') return formed;
  const { outputs, inputs, rank, load } = formed.stored;
  const [count, most] =
    'matrix' in load ? [outputs * inputs, MOST_ENTRIES] : [(outputs + inputs) * rank, MOST_IN_FACTORS];
  if (count <= most) return formed;
  return `its update of ${outputs} x ${inputs} takes ${count} numbers, more than the ${most} allowed`;
}
