import type { LayerFactors, LayerForm, LayerToWrite, NamedValues } from './layers.ts';

/** What a configuration keeps of the one that it replaces. */
const KEPT = ['base_model_name_or_path', 'revision', 'task_type', 'fan_in_fan_out', 'bias', 'modules_to_save'] as const;

/** The tensors of a layer under the names of PEFT. */
export function peftTensors({ target, form, factors }: LayerToWrite, prefix = 'base_model.model.'): NamedValues[] {
  const { up, down, outputs, inputs, rank } = factors;
  const module = `${prefix}${target}`;
  if (form.kind === 'embedding')
    return [
      { name: `${module}.lora_embedding_A`, shape: [rank, inputs], values: down },
      { name: `${module}.lora_embedding_B`, shape: [outputs, rank], values: up },
    ];
  const [a, b] = factorShapes(form, factors);
  return [
    { name: `${module}.lora_A.weight`, shape: a, values: down },
    { name: `${module}.lora_B.weight`, shape: b, values: up },
  ];
}

/** Shapes of A and B. */
export function factorShapes({ kernel }: LayerForm, { outputs, inputs, rank }: LayerFactors): [number[], number[]] {
  if (kernel.length === 0)
    return [
      [rank, inputs],
      [outputs, rank],
    ];
  return [
    [rank, ...kernel],
    [outputs, rank, ...kernel.slice(1).map(() => 1)],
  ];
}

/**
 * adapter_config.json for these layers. PEFT takes the rank and alpha of a layer from the first pattern that matches
 * `(.*\.)?(pattern)$`, so each key is a whole name from its beginning, with dots escaped.
 * @param before the configuration of the adapter that the layers come from.
 */
export function peftConfig(
  layers: readonly LayerToWrite[],
  before: Readonly<Record<string, unknown>>,
  dora: boolean,
): Record<string, unknown> {
  const ranks = layers.map(({ factors }) => factors.rank);
  const alphas = layers.map(({ factors: { scale, rank } }) => scale * rank);
  // vLLM takes one scale from these two and refuses ranks above r.
  const r = Math.max(...ranks);
  const alpha = alphas[ranks.indexOf(r)]!;
  const pattern = (values: readonly number[], common: number) =>
    Object.fromEntries(
      layers.flatMap(({ target }, index) => (values[index] === common ? [] : [[anchored(target), values[index]]])),
    );
  const kept = Object.fromEntries(KEPT.flatMap((key) => (before[key] === undefined ? [] : [[key, before[key]]])));
  return {
    peft_type: 'LORA',
    base_model_name_or_path: null,
    task_type: null,
    bias: 'none',
    fan_in_fan_out: false,
    ...kept,
    inference_mode: true,
    r,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: layers.map(({ target }) => target),
    rank_pattern: pattern(ranks, r),
    alpha_pattern: pattern(alphas, alpha),
    use_rslora: false,
    use_dora: dora,
  };
}

/** A pattern of PEFT that matches this module alone. */
function anchored(module: string): string {
  return `^${module.replaceAll(/[\\^$.|?*+()[\]{}]/g, '\\$&')}`;
}
