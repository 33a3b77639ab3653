import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { TextFacts } from './evaluation.ts';

/** What `calibrate` wrote; the object that `rankscope calibrate --json` prints. */
export interface CalibrationReport {
  readonly format: 'rankscope.calibration/1';
  readonly out: string;
  readonly bytes: number;
  readonly text: TextFacts;
  /** Tokens that passed, start tokens included. */
  readonly tokens: number;
  readonly groups: number;
  readonly matrices: number;
  /** Groups that fewer tokens than inputs reached: their statistics are shrunk where they are used. */
  readonly short: readonly { readonly name: string; readonly tokens: number; readonly inputs: number }[];
  readonly engine: DeviceInfo;
  readonly seconds: number;
  /** What to know about the tokens, one sentence each. */
  readonly notes: readonly string[];
}
