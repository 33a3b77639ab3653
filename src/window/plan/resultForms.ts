import { join, parse } from 'node:path';
import { formatBytes } from '../../base/quantities.ts';
import { type ApplyEstimate, growth } from '../../model/applied.ts';
import type { ApplyRequest } from '../../protocol/service.ts';

/** A form in which a plan can be applied, in words. */
export interface FormChoice {
  readonly label: string;
  readonly description: string;
  readonly form: Required<Pick<ApplyRequest, 'form' | 'dense'>>;
  /** The ending of the name; none for a folder. */
  readonly ending: '.safetensors' | '.gguf' | '';
  /** Whether Python code is written beside it. */
  readonly hasCode: boolean;
}

/** The forms that the plan of a checkpoint can be applied in. */
export function formChoices(source: string): FormChoice[] {
  const isGguf = /\.gguf$/i.test(source);
  const choice = (
    label: string,
    description: string,
    { form, dense }: FormChoice['form'],
    ending: FormChoice['ending'],
  ): FormChoice => ({ label, description, form: { form, dense }, ending, hasCode: form === 'file' && !dense });
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
