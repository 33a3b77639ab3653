import { basename } from 'node:path';
import { significant } from '../../base/quantities.ts';
import type { InitRequest } from '../../model/lora/initialization.ts';
import {
  type CleanRequest,
  type ConvertRequest,
  LORA_LOADERS,
  LORA_NAMES,
  RESIZE_METHODS,
  type ResizeMethod,
  type ResizeRequest,
} from '../../model/lora/written.ts';
import { type ChoiceField, type Field, type Form, type FormValues, globsText, type NumberField } from './form.ts';
import { nameFor, type OutForm, placeFor } from './places.ts';

const MOST_RANK = 1e6;

/** The question where the result goes; `out` is its default. */
export function outField(out: string): Field {
  return {
    kind: 'out',
    key: 'out',
    label: 'Write to',
    prompt: 'A name beside the source, or an absolute path',
    text: (values) => String(values.out ?? out),
  };
}

export function rankField(key: string, label: string, prompt: string, otherwise?: string): NumberField {
  return {
    ...{ kind: 'number', key, label, prompt, least: 1, most: MOST_RANK, whole: true },
    ...(otherwise === undefined ? {} : { optional: true }),
    text: (values) => String(values[key] ?? otherwise),
  };
}

/** A number with a default. */
function numberField(
  key: string,
  label: string,
  range: Pick<NumberField, 'least' | 'most' | 'whole' | 'prompt'>,
): NumberField {
  return { kind: 'number', key, label, ...range, text: (values) => String(values[key]) };
}

/** A command that makes an adapter of another: its questions, and the request that the answers make. */
export interface LoraForm<Request> {
  readonly form: Form;
  readonly defaults: FormValues;
  /** Where the result goes, and in what form. */
  readonly target: (values: FormValues) => { readonly out: string; readonly form: OutForm };
  readonly request: (values: FormValues) => Omit<Request, 'overwrite'>;
}

const RULES: Readonly<Record<ResizeMethod, readonly [words: string, usual: number, least: number, most: number]>> = {
  sv_ratio: ['singular values above the largest / X', 10, 1, 1e12],
  sv_fro: ['the least rank with X of the Frobenius norm', 0.95, 0, 1],
  sv_cumulative: ['the least rank with X of the sum of singular values', 0.95, 0, 1],
};

/** `flat`: the adapter has the names of kohya, and stays a file. */
export function resizeForm(path: string, flat: boolean): LoraForm<ResizeRequest> {
  const form: OutForm = flat ? 'file' : 'adapter';
  const usual = nameFor(path, 'resized', form);
  const ruleOf = ({ rule }: FormValues) => RESIZE_METHODS.find((name) => name === rule);
  const value = (name: ResizeMethod): NumberField => {
    const [prompt, , least, most] = RULES[name];
    return numberField('value', name, { prompt: `X: ${prompt}`, least, most });
  };
  const rule: ChoiceField = {
    kind: 'choice',
    key: 'rule',
    label: 'Rule',
    text: (values) => (ruleOf(values) ? `${values.rule} ${values.value}` : 'one rank for all layers'),
    choices: [
      { label: 'One rank for all layers', set: { rule: undefined } },
      ...RESIZE_METHODS.map((name) => {
        const [description, preset] = RULES[name];
        return { label: name, description, set: { rule: name, value: preset }, ask: value(name) };
      }),
    ],
  };
  const target = ({ out }: FormValues) => ({ out: placeFor(path, String(out ?? usual)), form });
  return {
    defaults: { rank: 8 },
    target,
    form: {
      title: `Resize ${basename(path)}`,
      action: 'Resize',
      outlook: (values) => {
        const rank = values.rank === undefined ? 'any rank' : `rank ${values.rank}`;
        if (!ruleOf(values) && values.rank === undefined) return { text: 'A rank or a rule is needed', ready: false };
        return {
          text: ruleOf(values) ? `${values.rule} ${values.value}, ${rank} at most` : `${rank} in each layer`,
          ready: true,
        };
      },
      fields: (values) => [
        rule,
        rankField(
          'rank',
          ruleOf(values) ? 'Largest rank' : 'Rank',
          'Singular values of each layer that are kept',
          'none',
        ),
        outField(usual),
      ],
    },
    request: (values) => {
      const name = ruleOf(values);
      return {
        kind: 'resize',
        path,
        out: target(values).out,
        ...(typeof values.rank === 'number' ? { rank: values.rank } : {}),
        ...(name ? { method: { name, value: Number(values.value) } } : {}),
      };
    },
  };
}

const NAMES: Readonly<Record<ConvertRequest['names'], string>> = {
  peft: 'a folder with adapter_config.json, also for transformers and vLLM',
  kohya: 'a file with lora_unet_... and an alpha for each layer',
  diffusers: 'a file with the names of diffusers',
};
const LOADERS: Readonly<Record<NonNullable<ConvertRequest['loader']>, string>> = {
  peft: 'PEFT, transformers and diffusers',
  vllm: 'one alpha / r for all layers; no DoRA',
  'llama.cpp': 'one alpha for all layers; no DoRA',
  comfyui: 'no configuration: kohya or diffusers names',
};

export function convertForm(path: string): LoraForm<ConvertRequest> {
  const formOf = ({ names }: FormValues): OutForm => (names === 'peft' ? 'adapter' : 'file');
  const usual = (values: FormValues) =>
    nameFor(path, String(values.loader === 'peft' ? values.names : values.loader), formOf(values));
  const target = (values: FormValues) => ({
    out: placeFor(path, String(values.out ?? usual(values))),
    form: formOf(values),
  });
  const text = (values: FormValues) =>
    `${String(values.names)} names, for ${String(values.loader)}${values.base === undefined ? '' : `, modules of ${basename(String(values.base))}`}`;
  return {
    defaults: { names: 'peft', loader: 'peft' },
    target,
    form: {
      title: `Convert ${basename(path)}`,
      action: 'Convert',
      outlook: (values) => ({ text: text(values), ready: true }),
      fields: (values) => [
        {
          kind: 'choice',
          key: 'names',
          label: 'Names',
          text: ({ names }) => String(names),
          choices: LORA_NAMES.map((names) => ({ label: names, description: NAMES[names], set: { names } })),
        },
        {
          kind: 'choice',
          key: 'loader',
          label: 'For',
          text: ({ loader }) => String(loader),
          choices: LORA_LOADERS.map((loader) => ({ label: loader, description: LOADERS[loader], set: { loader } })),
        },
        {
          kind: 'model',
          key: 'base',
          label: 'Base model',
          optional: true,
          text: ({ base }) =>
            base === undefined ? 'none: needed for names that kohya joins with underscores' : String(base),
        },
        outField(usual(values)),
      ],
    },
    request: (values) => ({
      kind: 'convert',
      path,
      out: target(values).out,
      names: LORA_NAMES.find((names) => names === values.names) ?? 'peft',
      loader: LORA_LOADERS.find((loader) => loader === values.loader) ?? 'peft',
      ...(typeof values.base === 'string' ? { base: values.base } : {}),
    }),
  };
}

export function cleanForm(path: string): LoraForm<CleanRequest> {
  const usual = nameFor(path, 'cleaned', 'adapter');
  const target = ({ out }: FormValues) => ({ out: placeFor(path, String(out ?? usual)), form: 'adapter' as const });
  return {
    defaults: { top: 10, threshold: 0.5, remain: 0.75 },
    target,
    form: {
      title: `Clean ${basename(path)}`,
      action: 'Find intruders',
      outlook: ({ base }) =>
        base === undefined
          ? { text: 'The base model is needed', ready: false }
          : { text: 'shows them; nothing is written yet', ready: true },
      fields: () => [
        {
          kind: 'model',
          key: 'base',
          label: 'Base model',
          text: ({ base }) => (base === undefined ? 'the model that it was trained on' : String(base)),
        },
        numberField('top', 'Directions', {
          prompt: 'Leading directions of W + scale B A that are looked at',
          least: 1,
          most: 1e4,
          whole: true,
        }),
        numberField('threshold', 'Threshold', {
          prompt: 'A direction is an intruder if its cosines with those of W are all below',
          least: 0,
          most: 1,
        }),
        numberField('remain', 'Remains', {
          prompt: "The share of an intruder that remains, PEFT's mitigation_lambda",
          least: 0,
          most: 1,
        }),
        outField(usual),
      ],
    },
    request: (values) => ({
      kind: 'clean',
      path,
      base: String(values.base),
      out: target(values).out,
      top: Number(values.top),
      threshold: Number(values.threshold),
      remain: Number(values.remain),
    }),
  };
}

export function initForm(path: string, statistics: string | null): LoraForm<InitRequest> {
  const usual = nameFor(path, 'pissa', 'pair');
  const target = ({ out }: FormValues) => ({ out: placeFor(path, String(out ?? usual)), form: 'pair' as const });
  return {
    defaults: { rank: 16, ...(statistics === null ? {} : { activations: statistics }) },
    target,
    form: {
      title: `Initialize an Adapter of ${basename(path)}`,
      action: 'Write the adapter and its base',
      outlook: ({ rank, activations }) => ({
        text: `rank ${String(rank)}, principal components of ${activations === undefined ? 'W (PiSSA)' : 'W X'}`,
        ready: true,
      }),
      fields: () => [
        rankField('rank', 'Rank', 'The rank of each layer'),
        {
          ...numberField('alpha', 'Alpha', { prompt: 'lora_alpha; empty for the rank', least: 1e-9, most: 1e9 }),
          optional: true,
          text: ({ alpha }) => (typeof alpha === 'number' ? significant(alpha) : 'the rank: a scale of 1'),
        },
        {
          kind: 'statistics',
          key: 'activations',
          label: 'Activations',
          optional: true,
          text: ({ activations }) => (activations === undefined ? 'none: components of W' : String(activations)),
        },
        {
          kind: 'globs',
          key: 'tensors',
          label: 'Matrices',
          prompt: 'Globs over names, with spaces between; empty for all linear layers but the head',
          text: ({ tensors }) => globsText(tensors, 'all linear layers but the head'),
        },
        outField(usual),
      ],
    },
    request: (values) => ({
      path,
      out: target(values).out,
      rank: Number(values.rank),
      ...(typeof values.alpha === 'number' ? { alpha: values.alpha } : {}),
      ...(typeof values.activations === 'string' ? { activations: values.activations } : {}),
      ...globsOf(values, 'tensors'),
    }),
  };
}

/** Globs as a part of a request; nothing without any. */
export function globsOf<Key extends string>(values: FormValues, key: Key): Partial<Record<Key, readonly string[]>> {
  const globs = values[key];
  const part: Partial<Record<string, readonly string[]>> =
    Array.isArray(globs) && globs.length > 0 ? { [key]: globs as readonly string[] } : {};
  return part as Partial<Record<Key, readonly string[]>>;
}
