import type { NormSettings } from '../configuration/decoder.ts';
import { type LayerNorm, layerNorm } from './layerNorm.ts';
import { rmsNorm } from './rmsNorm.ts';
import type { Rows } from './rows.ts';

/** A norm with its weights; the offset of its settings is added already. */
export interface Norm extends LayerNorm {
  readonly kind: NormSettings['kind'];
}

/**
 * Each stretch of `norm.weight.length` entries normalized by itself: the whole row, or each of its heads.
 */
export function normalized(x: Rows, norm: Norm): Rows {
  return norm.kind === 'rms' ? rmsNorm(x, norm) : layerNorm(x, norm);
}
