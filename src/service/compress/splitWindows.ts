import { RankscopeError } from '../../base/errors.ts';

/** Windows by what they are for; none is in two lists. */
export interface SplitWindows {
  readonly calibration: readonly Int32Array[];
  readonly heldOut: readonly Int32Array[];
  readonly unseen: readonly Int32Array[];
}

export interface SplitOptions {
  /** What errors are about. */
  readonly subject: string;
  /** Windows for calibration, if there are enough. */
  readonly calibration: number;
  /** Whether windows are kept back for measuring; not where another text is there for it. */
  readonly unseen: boolean;
}

/** Of the windows for calibration: how many as many more are held out, and unseen. */
export const HELD_OUT = 1 / 8;
export const UNSEEN = 1 / 2;
/** Of the windows of a text that has too few. */
const [LEAST_HELD_OUT, LEAST_UNSEEN] = [0.1, 0.25];

/**
 * The first windows are for calibration, the next ones held out, and the last ones unseen. Where there are too few for
 * all that is wanted, each gets its share, and at least one.
 * @throws RankscopeError 'wrong-use' for fewer windows than purposes
 */
export function splitWindows(windows: readonly Int32Array[], options: SplitOptions): SplitWindows {
  const { subject, calibration: wanted } = options;
  const least = options.unseen ? 3 : 2;
  const total = windows.length;
  if (total < least)
    throw new RankscopeError(
      'wrong-use',
      subject,
      `it has ${total} window${total === 1 ? '' : 's'}, and at least ${least} are needed: for calibration, to check each block${options.unseen ? ', and to measure' : ''}`,
      'Give a longer text, or shorter windows (context)',
    );
  const shares = { heldOut: Math.round(wanted * HELD_OUT), unseen: options.unseen ? Math.round(wanted * UNSEEN) : 0 };
  const isEnough = wanted + Math.max(1, shares.heldOut) + shares.unseen <= total;
  const heldOut = Math.max(1, isEnough ? shares.heldOut : Math.floor(total * LEAST_HELD_OUT));
  const unseen = options.unseen ? Math.max(1, isEnough ? shares.unseen : Math.floor(total * LEAST_UNSEEN)) : 0;
  const calibration = Math.min(wanted, total - heldOut - unseen);
  return {
    calibration: windows.slice(0, calibration),
    heldOut: windows.slice(calibration, calibration + heldOut),
    unseen: unseen === 0 ? [] : windows.slice(-unseen),
  };
}
