import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Service } from '../protocol/service.ts';
import type { BlasPolicy } from '../service/devices/blasPolicy.ts';

export type OptionTable = NonNullable<ParseArgsConfig['options']>;
export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** How a command talks to the person who runs it. */
export interface Terminal {
  /** Writes to standard output, which carries results only. */
  write(pieces: Iterable<string>): Promise<void>;
  /** Shows progress if standard error is a terminal. */
  progress(step: { done: number; total: number; message: string; secondsLeft?: number }): void;
  /** Writes one line to standard error. */
  warn(line: string): void;
  readonly signal: AbortSignal;
}

export interface Invocation {
  readonly path: string;
  /** All paths of a command that takes several; otherwise only `path`. */
  readonly paths: readonly string[];
  readonly values: Values;
  readonly terminal: Terminal;
  readonly service: Service;
  /** Which native libraries the engines may load. */
  readonly blas: BlasPolicy;
}

/** A command of `rankscope`; each has a file in this folder. */
export interface Command {
  readonly name: string;
  /** Completes "rankscope NAME ". */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The options, one line each, and examples. */
  readonly help: string;
  readonly options: OptionTable;
  /** Options that may stand without a value, and the words that are one if they follow: the value is '' otherwise. */
  readonly optionalValues?: Readonly<Record<string, RegExp>>;
  /** Whether the command takes the path of a checkpoint, or several; one by default. */
  readonly takesPath?: boolean | 'several' | 'optional';
  run(invocation: Invocation): Promise<void>;
}

/** Commands that share their first word: `rankscope lora count`. Their names have both words. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** The command line does not follow the help: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const HELP = { type: 'boolean', short: 'h' } as const;
const COMMON: OptionTable = { help: HELP, verbose: { type: 'boolean' } };
export const COMMON_HELP = `  --verbose           report what is being done on standard error
  -h, --help          show this text`;

export const ENGINE: OptionTable = {
  engine: { type: 'string' },
  threads: { type: 'string' },
  blas: { type: 'string' },
};
export const BLAS_HELP = `  --blas FILE         a BLAS library for the products of the cpu engine (default: a search), or none`;
export const ENGINE_HELP = `  --engine NAME       auto (default: the fastest available), cpu (with a BLAS if one is found),
                      wasm (the built-in kernels alone), webgpu or tensorflow
  --threads N         threads of the cpu engine (default: all cores)
${BLAS_HELP}`;

/** Parses the words after the command's name. @throws UsageError */
export function parseCommand(command: Command, words: readonly string[]): Pick<Invocation, 'values' | 'paths'> {
  try {
    const options = { ...COMMON, ...command.options };
    const args = withOptionalValues(words, command.optionalValues ?? {});
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
    if (values.help === true) return { values, paths: [] };
    const { takesPath = true } = command;
    const most = takesPath === 'several' ? Number.POSITIVE_INFINITY : takesPath ? 1 : 0;
    if ((most > 0 && takesPath !== 'optional' && positionals.length === 0) || positionals.includes(''))
      throw new UsageError('the path of a checkpoint is missing');
    const extra = positionals[most];
    if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`);
    return { values, paths: positionals };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { message } = error as Error;
    const dashed = /^Option '(?:-\w, )?(--[\w-]+).*' argument is ambiguous/.exec(message)?.[1];
    if (dashed !== undefined)
      throw new UsageError(`${dashed} has no value; one that begins with a dash is written ${dashed}=-...`);
    // The messages of parseArgs are long; the first sentence names the mistake.
    const [sentence = ''] = message.split(/\. |\n/);
    throw new UsageError(sentence);
  }
}

/** `--name value` and `--name` as the `--name=value` that parseArgs understands. */
function withOptionalValues(words: readonly string[], optional: Readonly<Record<string, RegExp>>): string[] {
  const joined: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '--') return [...joined, ...words.slice(at)];
    const value = word.startsWith('--') ? optional[word.slice(2)] : undefined;
    const next = words[at + 1];
    if (value === undefined) joined.push(word);
    else if (next !== undefined && !next.startsWith('-') && value.test(next)) joined.push(`${word}=${words[++at]}`);
    else joined.push(`${word}=`);
  }
  return joined;
}

export function textOf(values: Values, name: string): string | undefined {
  const value = values[name];
  if (value === '') throw new UsageError(`--${name} is empty`);
  return typeof value === 'string' ? value : undefined;
}

export function textsOf(values: Values, name: string): string[] {
  const value = values[name];
  const texts = Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  if (texts.includes('')) throw new UsageError(`--${name} is empty`);
  return texts;
}

export function numberOf(
  values: Values,
  name: string,
  { least, most, whole = false }: { least: number; most: number; whole?: boolean },
): number | undefined {
  const text = textOf(values, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  const kind = whole ? 'a whole number' : 'a number';
  const range = most === Number.POSITIVE_INFINITY ? `from ${least} on` : `from ${least} to ${most}`;
  if (Number.isNaN(value) || value < least || value > most || (whole && !Number.isSafeInteger(value))) {
    throw new UsageError(`--${name} takes ${kind} ${range}, not '${text}'`);
  }
  return value;
}

export function choiceOf<Choice extends string>(
  values: Values,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const text = textOf(values, name);
  const choice = choices.find((each) => each === text);
  if (text !== undefined && choice === undefined) {
    throw new UsageError(`--${name} takes one of ${choices.join(', ')}, not '${text}'`);
  }
  return choice;
}

/** `--engine` and `--threads` in the form that the service takes. */
export function engineOf(values: Values): { engine?: string; threads?: number } {
  const engine = textOf(values, 'engine');
  const threads = numberOf(values, 'threads', { least: 1, most: 1024, whole: true });
  return { ...(engine === undefined ? {} : { engine }), ...(threads === undefined ? {} : { threads }) };
}
