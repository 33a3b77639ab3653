import { basename } from 'node:path';
import { formatCount, significant } from '../../base/quantities.ts';
import {
  EXTRACT_TARGETS,
  EXTRACT_TYPES,
  type Extraction,
  type ExtractRequest,
  type ExtractSpread,
  type ExtractTargetKind,
} from '../../model/lora/extraction.ts';
import { choiceText, type ExtractChoice, extractPreview, usualChoices } from '../../model/lora/extractPreview.ts';
import { type ChoiceField, type FormValues, globsText } from './form.ts';
import { globsOf, type LoraForm, outField, rankField } from './loraForm.ts';
import { nameFor, placeFor } from './places.ts';

/** What a person may type in place of what the list offers. */
const OTHERS: readonly (readonly [by: ExtractTargetKind, spread: ExtractSpread, label: string, prompt: string])[] = [
  ['rank', 'each', 'Another rank, the same in each matrix…', 'The rank of each matrix'],
  ['rank', 'all', 'Another rank on average, spread over all…', 'As many parameters as this rank takes everywhere'],
  ['energy', 'each', 'Another share of the energy in each matrix…', 'The share of the squared difference, 0 to 1'],
  ['energy', 'all', 'Another share of the energy over all…', 'The share of the squared difference, 0 to 1'],
  ['error', 'each', 'Another error in each matrix…', 'The part of the norm of the difference that is left, 0 to 1'],
  ['error', 'all', 'Another error over all…', 'The part of the norm of the difference that is left, 0 to 1'],
  ['parameters', 'all', 'A number of parameters…', 'The parameters of all factors together'],
];

/**
 * The questions of an extraction, of which the first lists what every choice of ranks would give.
 * @param extraction of the same matrices, with singular values and nothing written
 */
export function extractForm(extraction: Extraction): LoraForm<ExtractRequest> {
  const { base, tuned, others } = extraction;
  const usual = nameFor(tuned, 'lora', 'adapter');
  const target = ({ out }: FormValues) => ({ out: placeFor(tuned, String(out ?? usual)), form: 'adapter' as const });
  const previewText = (values: FormValues): string => {
    const { ranks, parameters, predictedError } = extractPreview(
      extraction,
      choiceOf(values),
      values.modulesToSave === true,
    );
    const range = ranks[0] === ranks[1] ? `rank ${ranks[0]}` : `ranks ${ranks[0]} to ${ranks[1]}`;
    return `${range}, ${formatCount(parameters)} parameters, ${significant(100 * predictedError)} % of the difference left`;
  };
  const ranksField = (values: FormValues): ChoiceField => ({
    kind: 'choice',
    key: 'ranks',
    label: 'Ranks',
    text: (now) => choiceText(choiceOf(now)),
    choices: [
      ...usualChoices(extraction).map((choice) => {
        const set = valuesOf(choice);
        return { label: choiceText(choice), description: previewText({ ...values, ...set }), set };
      }),
      ...OTHERS.map(([by, spread, label, prompt]) => {
        const isCount = by === 'rank' || by === 'parameters';
        return {
          label,
          set: { by, spread },
          ask: {
            ...({ kind: 'number', key: 'value', label, prompt, whole: isCount } as const),
            ...(isCount ? { least: 1, most: 1e15 } : { least: 1e-9, most: 1 }),
            text: (now: FormValues) => String(now.value ?? ''),
            hint: (value: number) => previewText({ ...values, by, spread, value }),
          },
        };
      }),
    ],
  });
  const savable = others.filter(({ module }) => module !== null);
  return {
    defaults: EXTRACT_DEFAULTS,
    target,
    form: {
      title: `Extract an Adapter from ${basename(tuned)}`,
      action: 'Write the adapter',
      outlook: (values) => {
        try {
          return { text: previewText(values), ready: true };
        } catch (error) {
          return { text: error instanceof Error ? error.message : String(error), ready: false };
        }
      },
      fields: (values) => [
        ranksField(values),
        rankField('mostRank', 'Largest rank', 'The largest rank of a matrix; empty for none', 'none'),
        {
          kind: 'globs',
          key: 'tensors',
          label: 'Matrices',
          prompt: 'Globs over names, with spaces between; embeddings must be named; empty for all linear layers',
          text: ({ tensors }) => globsText(tensors, 'all linear layers'),
        },
        {
          kind: 'globs',
          key: 'exclude',
          label: 'Leave out',
          prompt: 'Globs over names of matrices, with spaces between',
          text: ({ exclude }) => globsText(exclude, 'none'),
        },
        ...(savable.length === 0
          ? []
          : [
              {
                kind: 'flag',
                key: 'modulesToSave',
                label: 'Norms, embeddings and biases that differ',
                text: ({ modulesToSave }: FormValues) =>
                  `${savable.length} tensors are ${modulesToSave === true ? 'written whole' : 'left out'}`,
              } as const,
            ]),
        {
          kind: 'choice',
          key: 'dtype',
          label: 'Type',
          text: ({ dtype }) => String(dtype),
          choices: EXTRACT_TYPES.map((dtype) => ({ label: dtype, set: { dtype } })),
        },
        outField(usual),
      ],
    },
    request: (values) => {
      const { target: wanted, spread, mostRank } = choiceOf(values);
      return {
        base,
        tuned,
        out: target(values).out,
        ...(wanted ? { target: wanted } : {}),
        ...(wanted && spread ? { spread } : {}),
        ...(mostRank === undefined ? {} : { mostRank }),
        ...globsOf(values, 'tensors'),
        ...globsOf(values, 'exclude'),
        modulesToSave: values.modulesToSave === true,
        dtype: EXTRACT_TYPES.find((dtype) => dtype === values.dtype) ?? 'F32',
      };
    },
  };
}

/**
 * With a largest rank, the leading singular values of a large matrix suffice, which are found much sooner than all. It
 * is a choice like any other: without it, all values are computed.
 */
export const EXTRACT_DEFAULTS: FormValues = { dtype: 'F32', mostRank: 256 };

/** The answers that decide which singular values a preview needs. */
export const SURVEYED = ['tensors', 'exclude', 'mostRank'] as const;

/** What is compared, before anything is written. */
export const surveyOf = (base: string, tuned: string, values: FormValues): ExtractRequest => ({
  ...{ base, tuned, values: true },
  ...globsOf(values, 'tensors'),
  ...globsOf(values, 'exclude'),
  ...(typeof values.mostRank === 'number' ? { mostRank: values.mostRank } : {}),
});

function choiceOf({ by, value, spread, mostRank }: FormValues): ExtractChoice {
  const kind = EXTRACT_TARGETS.find((name) => name === by);
  return {
    ...(kind && typeof value === 'number' ? { target: { by: kind, value } } : {}),
    ...(kind ? { spread: spread === 'all' ? ('all' as const) : ('each' as const) } : {}),
    ...(typeof mostRank === 'number' ? { mostRank } : {}),
  };
}

const valuesOf = ({ target, spread }: ExtractChoice): FormValues => ({
  by: target?.by,
  value: target?.value,
  spread,
});
