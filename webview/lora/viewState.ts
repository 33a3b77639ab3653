import { TARGET_SETS, type TargetSet } from '../../src/model/lora/targets.ts';
import { USUAL_MODELS } from '../../src/model/lora/usualModels.ts';

/** What the page shows. Kept across reloads; the path is needed to restore the page in a restored window. */
export interface LoraView {
  readonly path: string;
  /** A usual model; null for the checkpoint. */
  readonly model: string | null;
  readonly targets: TargetSet;
  readonly rank: number;
  /** The configuration that is shown of the suggestion. */
  readonly file: string;
}

export const MOST_RANK = 100_000;

/** Validates a restored state, which an older version of the page may have written. */
export function restoredView(old: unknown): LoraView {
  const kept = (typeof old === 'object' && old !== null ? old : {}) as Record<keyof LoraView, unknown>;
  const { path, model, targets, rank, file } = kept;
  return {
    path: typeof path === 'string' ? path : '',
    model: USUAL_MODELS.find((name) => name === model) ?? null,
    targets: TARGET_SETS.find((set) => set === targets) ?? 'all-linear',
    rank: typeof rank === 'number' && Number.isInteger(rank) && rank >= 1 && rank <= MOST_RANK ? rank : 16,
    file: typeof file === 'string' ? file : 'lora_config.py',
  };
}
