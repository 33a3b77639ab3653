import type { Field, Form, FormValues, NumberField } from './form.ts';
import type { OutForm } from './places.ts';

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
export function numberField(
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
  readonly request: (values: FormValues) => Unasked<Request>;
}

/** Each of several requests, before it is known whether files may be replaced. */
type Unasked<Request> = Request extends unknown ? Omit<Request, 'overwrite'> : never;

/** Globs as a part of a request; nothing without any. */
export function globsOf<Key extends string>(values: FormValues, key: Key): Partial<Record<Key, readonly string[]>> {
  const globs = values[key];
  const part: Partial<Record<string, readonly string[]>> =
    Array.isArray(globs) && globs.length > 0 ? { [key]: globs as readonly string[] } : {};
  return part as Partial<Record<Key, readonly string[]>>;
}
