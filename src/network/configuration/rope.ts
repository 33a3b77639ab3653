import type { Rope, RopeScaling } from './decoder.ts';
import type { Settings } from './settings.ts';

/** What the layers of a model have in common. */
interface RopeContext {
  readonly headSize: number;
  readonly context: number;
}

/**
 * The rotary positions of the layers that see a sliding window (`slides`), or of the others. transformers 5 keeps all
 * in `rope_parameters`, for each type of layer if they differ; older ones have `rope_theta`, `rope_scaling`, and
 * Gemma 3's `rope_local_base_freq` for sliding layers, which are never scaled.
 * @throws RankscopeError 'malformed' for missing or wrong values and scalings that are not known, by name
 */
export function readRope(settings: Settings, slides: boolean, { headSize, context }: RopeContext): Rope {
  const all = settings.group('rope_parameters');
  const own = all?.group(slides ? 'sliding_attention' : 'full_attention') ?? all;
  const isLocal = !own && slides && settings.has('rope_local_base_freq');
  const theta = isLocal
    ? settings.number('rope_local_base_freq')
    : (own?.number('rope_theta', settings.number('rope_theta')) ?? settings.number('rope_theta'));
  const scaled = isLocal ? undefined : (own ?? settings.group('rope_scaling'));
  const share =
    own?.number('partial_rotary_factor', settings.number('partial_rotary_factor', 1)) ??
    settings.number('partial_rotary_factor', 1);
  const size = Math.floor(headSize * share);
  if (!(theta > 1 && size > 0 && size <= headSize && size % 2 === 0))
    settings.refuse('rope_parameters', `possible for heads of ${headSize}: theta ${theta}, ${size} rotated entries`);
  const scaling = scaled ? readScaling(scaled, settings, context, size) : { kind: 'none' as const };
  return { theta, size, scaling };
}

function readScaling(own: Settings, settings: Settings, context: number, size: number): RopeScaling {
  const kind = own.text('rope_type', own.text('type', 'default'));
  const original = own.count(ORIGINAL, settings.count(ORIGINAL, context));
  const factor = () => own.factor('factor', context / original);
  switch (kind) {
    case 'default':
      return { kind: 'none' };
    case 'linear':
      return { kind: 'linear', factor: own.factor('factor') };
    case 'dynamic':
      return { kind: 'dynamic', factor: own.factor('factor'), original: context };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: own.factor('factor'),
        original,
        low: own.factor('low_freq_factor'),
        high: own.factor('high_freq_factor'),
      };
    case 'yarn':
      return {
        kind: 'yarn',
        factor: factor(),
        original,
        fast: own.factor('beta_fast', 32),
        slow: own.factor('beta_slow', 1),
        magnitude: own.number('attention_factor', yarnMagnitude(own, factor())),
        truncate: own.flag('truncate', true),
      };
    case 'longrope':
    case 'su': {
      const [short, long] = [own.numbers('short_factor'), own.numbers('long_factor')];
      for (const [key, list] of [
        ['short_factor', short],
        ['long_factor', long],
      ] as const)
        if (list.length !== size / 2) own.refuse(key, `a list of ${size / 2} numbers`);
      const magnitude = own.number('attention_factor', longMagnitude(factor(), original));
      return { kind: 'longrope', original, magnitude, short, long };
    }
    default:
      return own.refuse(own.has('rope_type') ? 'rope_type' : 'type', 'a scaling of rotary positions that is known');
  }
}

const ORIGINAL = 'original_max_position_embeddings';

/** The attention factor of YaRN, 0.1 ln(factor) + 1, or DeepSeek's ratio of two such terms. */
function yarnMagnitude(own: Settings, factor: number): number {
  const of = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const [own_, all] = [own.number('mscale', 0), own.number('mscale_all_dim', 0)];
  return own_ !== 0 && all !== 0 ? of(own_) / of(all) : of(1);
}

/** Ding et al., "LongRoPE", arXiv 2402.13753. */
function longMagnitude(factor: number, original: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
}
