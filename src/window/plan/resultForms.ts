import { join, parse } from 'node:path';
import { formatBytes } from '../../base/quantities.ts';
import { type ApplyEstimate, growth } from '../../model/applied.ts';
import type { FactorStyle } from '../../model/factorStyle.ts';
import type { ApplyRequest } from '../../protocol/service.ts';

/** A form in which a plan can be applied, in words. */
export interface FormChoice {
  readonly label: string;
  readonly description: string;
  readonly form: Required<Pick<ApplyRequest, 'form' | 'dense'>> & Pick<ApplyRequest, 'style'>;
  /** The ending of the name; none for a folder. */
  readonly ending: '.safetensors' | '.gguf' | '';
  /** Whether Python code is written beside it. */
  readonly hasCode: boolean;
}

/** How others call the two factors of a matrix NAME. */
const OTHER_STYLES: readonly [style: FactorStyle, loader: string, names: string][] = [
  ['sequential', 'nn.Sequential', 'NAME.0 and NAME.1'],
  ['uv', 'the loaders of SVD-LLM', 'q_v_proj and q_u_proj'],
  ['ab', 'the loaders of ASVD', 'NAME.BLinear and NAME.ALinear'],
];

/** The forms that the plan of a checkpoint can be applied in. */
export function formChoices(source: string): FormChoice[] {
  const isGguf = /\.gguf$/i.test(source);
  const choice = (
    label: string,
    description: string,
    form: FormChoice['form'],
    ending: FormChoice['ending'],
  ): FormChoice => ({ label, description, form, ending, hasCode: form.form === 'file' && !form.dense });
  const dense = 'the truncated matrices themselves, which load everywhere and take the same space';
  return [
    choice('A file of factors, with Python code', 'safetensors', { form: 'file', dense: false }, '.safetensors'),
    ...(isGguf
      ? []
      : [
          choice(
            'A model folder for transformers',
            'opens with from_pretrained and trust_remote_code=True',
            { form: 'folder', dense: false },
            '',
          ),
        ]),
    choice('A file of dense weights', dense, { form: 'file', dense: true }, '.safetensors'),
    isGguf
      ? choice('A GGUF file of dense weights', `${dense}; F16`, { form: 'file', dense: true }, '.gguf')
      : choice('A model folder of dense weights', dense, { form: 'folder', dense: true }, ''),
    ...OTHER_STYLES.map(([style, loader, names]) =>
      choice(
        `A file of factors for ${loader}, with Python code`,
        `safetensors; two factors, called ${names}`,
        { form: 'file', dense: false, style },
        '.safetensors',
      ),
    ),
  ];
}

/** The default target: beside its source, under a name of its own. */
export function suggestedResult(source: string, { form: { dense }, ending }: FormChoice): string {
  const { dir, name } = parse(source.replace(/\.safetensors\.index\.json$/i, '.safetensors'));
  return join(dir, `${name}.${dense ? 'truncated' : 'lowrank'}${ending}`);
}

/** What is asked before a result that is larger than its source is written; undefined for one that is not. */
export function growthQuestion(estimate: ApplyEstimate): string | undefined {
  if (growth(estimate) === undefined) return undefined;
  const { bytesAfter, bytesBefore } = estimate;
  return `The result will be larger than its source: ${formatBytes(bytesAfter)} from ${formatBytes(bytesBefore)}. Write it?`;
}
