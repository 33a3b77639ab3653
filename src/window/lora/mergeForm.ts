import { basename } from 'node:path';
import {
  COMBINATIONS,
  type Combination,
  type CombineRequest,
  type MergeIntoRequest,
} from '../../model/lora/written.ts';
import { type Field, type FormValues, globsText } from './form.ts';
import { type LoraForm, numberField, outField, rankField } from './loraForm.ts';
import { nameFor, type OutForm, placeFor } from './places.ts';

const WORDS: Readonly<Record<Combination, string>> = {
  linear: 'sums of A and of B: rough, for adapters of one rank',
  cat: 'exactly the sum; the ranks add up',
  svd: 'the best approximation of the sum, of the largest rank of the adapters',
  ties: 'entries pruned by size, then by the sign of most',
  dare_linear: 'entries pruned at random and rescaled',
  dare_ties: 'entries pruned at random and rescaled, then by the sign of most',
  magnitude_prune: 'entries pruned by size',
  ties_svd: 'ties on the updates themselves, then an SVD',
  dare_linear_svd: 'dare_linear on the updates themselves, then an SVD',
  dare_ties_svd: 'dare_ties on the updates themselves, then an SVD',
  magnitude_prune_svd: 'magnitude_prune on the updates themselves, then an SVD',
};

const combinationOf = ({ combination }: FormValues): Combination =>
  COMBINATIONS.find((name) => name === combination) ?? 'svd';
const prunes = (values: FormValues) => /ties|dare|prune/.test(combinationOf(values));

/** Several adapters in one, by the ways of PEFT's `add_weighted_adapter`; or one added to its base model. */
export function mergeForm(paths: readonly string[]): LoraForm<CombineRequest | MergeIntoRequest> {
  const [path = ''] = paths;
  const isSingle = paths.length === 1;
  const form: OutForm = isSingle ? 'file' : 'adapter';
  const usual = isSingle ? nameFor(path, 'merged', form) : 'merged';
  const target = ({ out }: FormValues) => ({ out: placeFor(path, String(out ?? usual)), form });
  const names = paths.map((each) => basename(each)).join(' and ');
  const weights: Field = {
    kind: 'globs',
    key: 'weights',
    label: isSingle ? 'Weight' : 'Weights',
    prompt: isSingle ? 'A factor of the update; empty for 1' : `${paths.length} factors, of ${names}; empty for 1`,
    text: (values) => globsText(values.weights, isSingle ? '1' : '1 for each'),
  };
  const base: Field = {
    kind: 'model',
    key: 'base',
    label: 'Base model',
    text: (values) => String(values.base ?? 'the model that it was trained on'),
  };
  return {
    defaults: { combination: 'svd', density: 0.5, majoritySign: 'total', seed: 1 },
    target,
    form: {
      title: isSingle ? `Merge ${names} into Its Base` : `Merge ${names}`,
      action: 'Merge',
      outlook: (values) => {
        const factors = weightsOf(values);
        if (factors?.some((weight) => !Number.isFinite(weight))) return { text: 'Weights are numbers', ready: false };
        if (factors && factors.length !== paths.length)
          return { text: `${factors.length} weights for ${paths.length} adapters`, ready: false };
        if (isSingle && values.base === undefined) return { text: 'The base model is needed', ready: false };
        return { text: isSingle ? 'the weights of the base with the update' : combinationOf(values), ready: true };
      },
      fields: (values) =>
        isSingle ? [base, weights, outField(usual)] : [...combinationFields(values), weights, outField(usual)],
    },
    request: (values) => {
      const factors = weightsOf(values);
      const { out } = target(values);
      if (isSingle)
        return { kind: 'into', base: String(values.base), path, out, ...(factors ? { weight: factors[0]! } : {}) };
      const combination = combinationOf(values);
      return {
        kind: 'combine',
        paths,
        out,
        combination,
        ...(factors ? { weights: factors } : {}),
        ...(combination.endsWith('svd') && typeof values.rank === 'number' ? { rank: values.rank } : {}),
        ...(prunes(values) ? { density: Number(values.density) } : {}),
        ...(combination.includes('ties')
          ? { majoritySign: values.majoritySign === 'frequency' ? ('frequency' as const) : ('total' as const) }
          : {}),
        ...(combination.includes('dare') ? { seed: Number(values.seed) } : {}),
      };
    },
  };
}

/** The method, and what it needs besides. */
function combinationFields(values: FormValues): Field[] {
  const combination = combinationOf(values);
  return [
    {
      kind: 'choice',
      key: 'combination',
      label: 'Method',
      text: combinationOf,
      choices: COMBINATIONS.map((name) => ({ label: name, description: WORDS[name], set: { combination: name } })),
    },
    ...(combination.endsWith('svd')
      ? [
          rankField(
            'rank',
            'Rank',
            'Of the result; empty for the largest of the adapters',
            'the largest of the adapters',
          ),
        ]
      : []),
    ...(prunes(values)
      ? [numberField('density', 'Density', { prompt: 'The share of entries that remain', least: 0, most: 1 })]
      : []),
    ...(combination.includes('ties')
      ? [
          {
            kind: 'choice',
            key: 'majoritySign',
            label: 'Majority sign',
            text: ({ majoritySign }: FormValues) => String(majoritySign),
            choices: [
              { label: 'total', description: 'of the sum of the entries', set: { majoritySign: 'total' } },
              { label: 'frequency', description: 'of most entries', set: { majoritySign: 'frequency' } },
            ],
          } as const,
        ]
      : []),
    ...(combination.includes('dare')
      ? [numberField('seed', 'Seed', { prompt: 'Of the random masks', least: 0, most: 2 ** 32 - 1, whole: true })]
      : []),
  ];
}

function weightsOf({ weights }: FormValues): number[] | undefined {
  return Array.isArray(weights) && weights.length > 0 ? weights.map(Number) : undefined;
}
