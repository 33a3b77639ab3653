import { basename } from 'node:path';
import { RESIZE_METHODS, type ResizeMethod, type ResizeRequest } from '../../model/lora/written.ts';
import type { ChoiceField, FormValues, NumberField } from './form.ts';
import { type LoraForm, numberField, outField, rankField } from './loraForm.ts';
import { nameFor, type OutForm, placeFor } from './places.ts';

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
