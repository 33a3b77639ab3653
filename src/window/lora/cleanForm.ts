import { basename } from 'node:path';
import type { CleanRequest } from '../../model/lora/written.ts';
import type { FormValues } from './form.ts';
import { type LoraForm, numberField, outField } from './loraForm.ts';
import { nameFor, placeFor } from './places.ts';

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
