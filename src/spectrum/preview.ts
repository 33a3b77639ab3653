import { ENERGY_LEVELS, type EnergyLevel } from '../base/energyLevels.ts';
import { RankscopeError } from '../base/errors.ts';
import type { Backend, RoutineOptions, RowSource } from '../devices/backend.ts';
import type { Measures, PreviewBand } from '../model/findings.ts';
import { estimateValues, type SpectrumFacts } from './density.ts';
import { exactSpectrum } from './exact.ts';
import { blockLanczos, type LanczosOptions, type Quadrature, type Quadratures } from './lanczos.ts';
import { loadScaled, type ScaledRows, subProgress, uploadRows } from './load.ts';
import { effectiveRank, energyRanks, measures } from './measures.ts';

export interface PreviewOptions extends RoutineOptions {
  readonly seed?: number;
  /** Random starting vectors, multiplied at once; more of them reduce the statistical error. */
  readonly probes?: number;
  /** Products with W and W^T for each. Default: until the bands of the energy ranks are narrow, at most 32. */
  readonly steps?: number;
  /** A first value with a wide band, in a fraction of the time: few steps, and a smaller sample of the entries. */
  readonly coarse?: boolean;
}

export interface Preview {
  /** Estimated from the spectrum that the quadrature suggests; the Frobenius norm and the noise deviation are exact. */
  readonly measures: Measures;
  readonly band: PreviewBand;
  /** min(m, n) of them, descending: estimates that reproduce the measures, or the values themselves. */
  readonly singularValues: Float64Array;
}

const MOST_STEPS = 32;
/** Steps stop when the half-width of every energy rank's band is this fraction of p; the error is only part of it. */
const NARROW = 0.02;
/**
 * Steps of a coarse preview. Fewer would leave the band nothing to compare with; each costs as much as reading the
 * matrix or more.
 */
const COARSE_STEPS = 4;
/** Entries sampled by a coarse preview: the standard error of the noise deviation is then 1 %. */
const COARSE_SAMPLE = 2 ** 14;
/** Below this size, computing all values is about as fast as a preview. */
const LEAST_SIZE = 768;

/** Whether a matrix is so small that all its values are computed in place of a preview. */
export function isExactAtOnce({ rows, cols }: { readonly rows: number; readonly cols: number }): boolean {
  return Math.min(rows, cols) < LEAST_SIZE;
}

/**
 * As many as a kernel's tile has columns, because fewer take as long. Shares of values above a threshold then vary by
 * at most 1 %.
 */
const PROBES = 16;
/** Standard errors, estimated from the probes, by which the band extends to each side. */
const ERRORS = 2.5;
/** Multiple of the change in the last quarter of the steps that is added to that. */
const CHANGES = 2;
/** Probes that the jackknife of a coarse preview leaves out at a time. */
const COARSE_LEFT_OUT = 2;
/** The same for a coarse preview, whose steps are too few for their changes to fall off regularly. */
const COARSE_CHANGES = 4;

/**
 * Rank measures by block stochastic Lanczos quadrature (Chen, Trogdon and Ubaru, arXiv 2105.06595 and 2204.01941), each
 * with a band that should contain the true value. The statistical error is estimated by leaving out probes in turn (the
 * jackknife), the resolution by the change in the last quarter of the steps. Deterministic for a seed.
 *
 * If the Krylov space would span half the matrix, or if the device cannot hold the matrix, the values are exact and the
 * band has no width.
 *
 * @throws RankscopeError as `exactSpectrum`
 */
export async function previewSpectrum(
  backend: Backend,
  source: RowSource,
  options: PreviewOptions = {},
): Promise<Preview> {
  const p = Math.min(source.rows, source.cols);
  const { steps = options.coarse ? COARSE_STEPS : MOST_STEPS, seed = 1, probes = PROBES } = options;
  if (2 * probes * steps >= p || (options.probes === undefined && isExactAtOnce(source))) {
    return exactPreview(backend, source, options);
  }
  try {
    const fixed = options.steps !== undefined || options.coarse === true;
    return await quadraturePreview(backend, source, { ...options, seed, probes, steps }, fixed);
  } catch (thrown) {
    if (!(thrown instanceof RankscopeError && thrown.code === 'too-large')) throw thrown;
    return exactPreview(backend, source, options);
  }
}

/** Makes all `steps` if they are `fixed`, otherwise as many as the band needs to become narrow. */
async function quadraturePreview(
  backend: Backend,
  source: RowSource,
  options: PreviewOptions & Pick<LanczosOptions, 'seed' | 'probes' | 'steps'>,
  fixed: boolean,
): Promise<Preview> {
  const { seed, probes, steps } = options;
  const p = Math.min(source.rows, source.cols);
  const matrix = await backend.allocate(source.rows, source.cols);
  try {
    const pass = async (rows: ScaledRows) => {
      await uploadRows(backend, rows, 0, rows.rows, matrix, 0, subProgress(options, 0, 0.3));
      const facts = { count: p, energy: rows.energy() };
      if (facts.energy === 0) return undefined;
      let band: PreviewBand | undefined;
      const enough = (rules: Quadratures) => {
        band = bandOf(rules, facts, options.coarse);
        return !fixed && isNarrow(band, p);
      };
      const rules = await blockLanczos(backend, matrix, {
        ...subProgress(options, 0.3, 1),
        seed,
        probes,
        steps,
        enough,
      });
      return { rule: rules[0], facts, band: band ?? bandOf(rules, facts, options.coarse) };
    };
    const { result, entries, scale } = await loadScaled(
      source,
      options.signal,
      pass,
      options.coarse ? COARSE_SAMPLE : undefined,
    );
    if (!result) return settled(new Float64Array(p), source, 0);
    const { rule, facts, band } = result;
    const values = estimateValues(rule, facts).map((value) => value / scale);
    const estimates = {
      ...measures(values, shapeOf(source), entries.noiseDeviation),
      frobeniusNorm: entries.frobeniusNorm,
      stableRank: facts.energy / rule.values[0]! ** 2,
    };
    return { measures: estimates, band, singularValues: values };
  } finally {
    backend.free(matrix);
  }
}

async function exactPreview(backend: Backend, source: RowSource, options: RoutineOptions): Promise<Preview> {
  const { singularValues, entries } = await exactSpectrum(backend, source, options);
  return settled(singularValues, source, entries.noiseDeviation);
}

/** A preview of exact values. */
function settled(singularValues: Float64Array, source: RowSource, noiseDeviation: number): Preview {
  const found = measures(singularValues, shapeOf(source), noiseDeviation);
  const point = (value: number) => [value, value] as const;
  const { effectiveRank: byValue, effectiveRankEnergy: byEnergy, stableRank } = found;
  return {
    measures: found,
    singularValues,
    band: {
      energyRanks: forEachLevel((level) => point(found.energyRanks[level])),
      effectiveRank: point(byValue),
      effectiveRankEnergy: point(byEnergy),
      stableRank: point(stableRank),
    },
  };
}

const shapeOf = ({ rows, cols }: RowSource) => [rows, cols] as const;

/** The measures of one estimate that get a band. */
interface Sketch {
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  readonly effectiveRank: number;
  readonly effectiveRankEnergy: number;
}

function bandOf([last, before]: Quadratures, facts: SpectrumFacts, coarse = false): PreviewBand {
  const all = Array.from({ length: last.probes }, (_, i) => i);
  const sketch = (rule: Quadrature, probes = all) => sketchOf(estimateValues(rule, facts, probes));
  const sketchOf = (values: Float64Array): Sketch => {
    const energies = values.map((value) => value * value);
    return {
      energyRanks: energyRanks(energies),
      effectiveRank: effectiveRank(values),
      effectiveRankEnergy: effectiveRank(energies),
    };
  };
  const whole = sketch(last);
  const earlier = sketch(before);
  const left = coarse ? COARSE_LEFT_OUT : 1;
  const others = Array.from({ length: Math.ceil(last.probes / left) }, (_, i) =>
    sketch(last, all.toSpliced(i * left, left)),
  );
  const extremes = coarse ? withOtherTails(last, facts).map(sketchOf) : [];
  const p = facts.count;
  const band = (pick: (of: Sketch) => number, least: number) => {
    const found = pick(whole);
    const changes = (coarse ? COARSE_CHANGES : CHANGES) * Math.abs(pick(earlier) - found);
    const half = ERRORS * jackknife(others.map(pick)) + changes + least;
    const bounds = extremes.map(pick);
    return [Math.max(1, Math.min(found - half, ...bounds)), Math.min(p, Math.max(found + half, ...bounds))] as const;
  };
  const [sigma1, residual] = [last.values[0]!, last.residuals[0]!];
  const reached = Math.max(0, sigma1 - before.values[0]!);
  return {
    // A rank is an integer read off a curve of finite resolution: the band is at least 1 + p / 1000 to each side.
    energyRanks: forEachLevel((level) => {
      const [low, high] = band((of) => of.energyRanks[level], 1 + p / 1000);
      return [Math.floor(low), Math.ceil(high)];
    }),
    effectiveRank: widened(band((of) => of.effectiveRank, 0.005 * whole.effectiveRank)),
    effectiveRankEnergy: widened(band((of) => of.effectiveRankEnergy, 0.005 * whole.effectiveRankEnergy)),
    // A Ritz value never exceeds sigma_1, so it gives an upper bound of the stable rank (but for rounding).
    stableRank: widened([
      Math.max(1, facts.energy / (sigma1 + residual + CHANGES * reached) ** 2),
      Math.max(1, facts.energy / sigma1 ** 2),
    ]),
  };
}

/**
 * Few steps do not resolve the values that the lowest nodes, one per probe, stand for: they may all be zero, or all be
 * equal. Returns the estimated values with either tail.
 */
function withOtherTails(rule: Quadrature, facts: SpectrumFacts): Float64Array[] {
  const { values: nodes, weights, probes } = rule;
  const tail = weights.subarray((nodes.length - probes) * probes).reduce((sum, weight) => sum + weight, 0) / probes;
  const values = estimateValues(rule, facts);
  const from = Math.max(1, values.length - Math.ceil(tail * values.length));
  const energy = values.subarray(from).reduce((sum, value) => sum + value * value, 0);
  const replaced = (value: number) => values.slice().fill(value, from);
  return [replaced(0), replaced(Math.sqrt(energy / Math.max(1, values.length - from)))];
}

/** Widens by f32 rounding, so that exact bounds such as p do not exclude a rounded value. */
const widened = ([low, high]: readonly [number, number]) => [low * (1 - 1e-5), high * (1 + 1e-5)] as const;

function isNarrow({ energyRanks: bands }: PreviewBand, p: number): boolean {
  return Object.values(bands).every(([low, high]) => high - low <= 2 * NARROW * p);
}

/** Standard error from estimates that each leave out one probe (Tukey 1958). */
function jackknife(estimates: readonly number[]): number {
  const count = estimates.length;
  const mean = estimates.reduce((sum, value) => sum + value, 0) / count;
  const squares = estimates.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(((count - 1) / count) * squares);
}

function forEachLevel<Value>(of: (level: EnergyLevel) => Value): Record<EnergyLevel, Value> {
  return Object.fromEntries(ENERGY_LEVELS.map((level) => [level, of(level)])) as Record<EnergyLevel, Value>;
}
