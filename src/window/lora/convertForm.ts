import { basename } from 'node:path';
import { type ConvertRequest, LORA_LOADERS, LORA_NAMES } from '../../model/lora/written.ts';
import type { FormValues } from './form.ts';
import { type LoraForm, outField } from './loraForm.ts';
import { nameFor, type OutForm, placeFor } from './places.ts';

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
