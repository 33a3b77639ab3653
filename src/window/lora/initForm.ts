import { basename } from 'node:path';
import { significant } from '../../base/quantities.ts';
import type { InitRequest } from '../../model/lora/initialization.ts';
import { type FormValues, globsText } from './form.ts';
import { globsOf, type LoraForm, numberField, outField, rankField } from './loraForm.ts';
import { nameFor, placeFor } from './places.ts';

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
