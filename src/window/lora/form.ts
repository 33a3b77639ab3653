/** Questions of a command, as data: the editor lists them with their answers, and asks for those that are picked. */

export type FormValues = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

interface FieldHead {
  readonly key: string;
  readonly label: string;
  /** The answer in words. */
  readonly text: (values: FormValues) => string;
}

/** One of a list; a choice may need another answer before it counts. */
export interface ChoiceField extends FieldHead {
  readonly kind: 'choice';
  readonly choices: readonly {
    readonly label: string;
    readonly description?: string;
    readonly set: FormValues;
    readonly ask?: NumberField;
  }[];
}

export interface NumberField extends FieldHead {
  readonly kind: 'number';
  readonly prompt: string;
  readonly least: number;
  readonly most: number;
  readonly whole?: boolean;
  /** Whether it may be left empty. */
  readonly optional?: boolean;
  /** What a number would give; what it throws is shown as an error. */
  readonly hint?: (value: number) => string;
}

/** Globs, with spaces between. */
interface GlobsField extends FieldHead {
  readonly kind: 'globs';
  readonly prompt: string;
}

/** Turned round as soon as it is picked. */
interface FlagField extends FieldHead {
  readonly kind: 'flag';
}

/** A model or a file of statistics that is there. */
interface FileField extends FieldHead {
  readonly kind: 'model' | 'statistics';
  readonly optional?: boolean;
}

/** The name of what is written, beside what it is made of, or an absolute path. */
interface OutField extends FieldHead {
  readonly kind: 'out';
  readonly prompt: string;
}

export type Field = ChoiceField | NumberField | GlobsField | FlagField | FileField | OutField;

export interface Form {
  readonly title: string;
  /** What happens in the end: `Resize`. */
  readonly action: string;
  /** What it would give, or why it cannot be done yet. */
  readonly outlook: (values: FormValues) => { readonly text: string; readonly ready: boolean };
  readonly fields: (values: FormValues) => readonly Field[];
}

/** @throws Error with a sentence for the person who typed it */
export function parsedNumber(field: NumberField, text: string): number | undefined {
  const { least, most, whole = false, optional = false } = field;
  const trimmed = text.trim();
  if (trimmed === '' && optional) return undefined;
  const value = Number(trimmed);
  const isInside = trimmed !== '' && value >= least && value <= most && (!whole || Number.isInteger(value));
  if (!isInside) throw new Error(`Enter ${whole ? 'a whole number' : 'a number'} from ${least} to ${most}`);
  return value;
}

export const parsedGlobs = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);

/** What a glob field shows: its globs, or `otherwise` without any. */
export function globsText(value: FormValues[string], otherwise: string): string {
  return Array.isArray(value) && value.length > 0 ? value.join(' ') : otherwise;
}
