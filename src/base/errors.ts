/** What went wrong. Callers branch on this, never on the text. */
export type ErrorCode =
  | 'not-found'
  | 'unreadable'
  | 'not-a-checkpoint'
  | 'malformed'
  | 'unsupported'
  | 'too-large'
  | 'changed'
  | 'not-finite'
  | 'write-failed'
  | 'wrong-use'
  | 'engine'
  | 'cancelled';

/** The plain form of an error, in which it crosses a process boundary. */
export interface ErrorData {
  readonly code: ErrorCode;
  /** The file, tensor or option that the error is about. */
  readonly subject: string;
  readonly found: string;
  readonly remedy: string;
  /** Paths that could be opened instead of `subject`. */
  readonly choices?: readonly string[] | undefined;
}

/** Every error that a user may see: which file or tensor, what was found, what to do. */
export class RankscopeError extends Error implements ErrorData {
  override readonly name = 'RankscopeError';
  readonly choices: readonly string[] | undefined;

  constructor(
    readonly code: ErrorCode,
    readonly subject: string,
    readonly found: string,
    readonly remedy = '',
    options: ErrorOptions & { readonly choices?: readonly string[] | undefined } = {},
  ) {
    super([`${subject}: ${found}`, remedy].filter(Boolean).join('. '), options);
    this.choices = options.choices;
  }

  static from({ code, subject, found, remedy, choices }: ErrorData): RankscopeError {
    return new RankscopeError(code, subject, found, remedy, { choices });
  }
}

/**
 * The plain form of anything thrown. Anything but a RankscopeError is a defect in Rankscope: `subject` says what was
 * being worked on, and no remedy is offered.
 */
export function errorData(error: unknown, subject = 'Rankscope'): ErrorData {
  if (error instanceof RankscopeError) {
    const { code, found, remedy, choices } = error;
    return { code, subject: error.subject, found, remedy, ...(choices && { choices }) };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: 'engine', subject, found: `unexpected error: ${text}`, remedy: '' };
}

const OF_ONE_MATRIX: ReadonlySet<ErrorCode> = new Set(['not-finite', 'too-large', 'unsupported', 'malformed']);

/** Whether an error concerns a single matrix, so that work on many skips it and continues. */
export function concernsOneMatrix(error: unknown): error is RankscopeError {
  return error instanceof RankscopeError && OF_ONE_MATRIX.has(error.code);
}

/** The error with which a cancelled call ends. */
export function cancelled(subject: string): RankscopeError {
  return new RankscopeError('cancelled', subject, 'cancelled');
}

/** Throws `cancelled` once `signal` is aborted. Long loops call it at least every 100 ms. */
export function throwIfCancelled(signal: AbortSignal | undefined, subject: string): void {
  if (signal?.aborted) throw cancelled(subject);
}
