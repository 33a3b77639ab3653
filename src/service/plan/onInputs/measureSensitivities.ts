import type { InputFactor } from '../../../activations/statistics.ts';
import { RankscopeError, throwIfCancelled } from '../../../base/errors.ts';
import type { GroupSensitivity, Sensitivities } from '../../../model/plan/sensitivities.ts';
import { forward } from '../../../network/forward.ts';
import type { PlacedGroup } from '../../../network/inputGroups.ts';
import { digestOfWindows, tokensIn } from '../../../network/windows.ts';
import { InputStatistics } from '../../calibrate/inputStatistics.ts';
import { passProgress } from '../../evaluate/passProgress.ts';
import { firstTokens } from './firstTokens.ts';
import { familiesOnInputs, GroupCurves } from './groupCurves.ts';
import { basisOf, type Curve, curveOf } from './inputBases.ts';
import type { InputPlan } from './inputPlan.ts';
import { measureDivergences } from './measureDivergences.ts';
import { divergencesOf, type MeasuredMatrix, measuredUnits } from './measuredUnits.ts';
import type { PlacedMatrix } from './placedMatrices.ts';

/** Tokens for each divergence: every one of them passes the network once for each matrix. */
const DIVERGENCE_TOKENS = 1024;

/**
 * Measures what `request.spread` needs of these matrices.
 * @throws RankscopeError 'wrong-use' where no text is there; 'not-finite', 'too-large', 'cancelled', and what reading
 *   the weights and the statistics throws
 */
export async function measureSensitivities(input: InputPlan, placed: readonly PlacedMatrix[]): Promise<Sensitivities> {
  const { request, text, statistics, minutes, progress } = input;
  const started = performance.now();
  const isLoss = request.spread === 'loss';
  if (isLoss ? !text : !text && !statistics) throw nothingToMeasure(isLoss);
  const { curves, measured, groups } = statistics
    ? await fromStatistics(input, placed, isLoss)
    : await fromText(input, placed, isLoss);
  const inputs = statistics
    ? { kind: statistics.summary.kind, text: statistics.summary.text, tokens: statistics.summary.tokens }
    : { kind: 'full' as const, text: text!.facts.name, tokens: tokensIn(text!.windows) };
  if (!isLoss) return { inputs, matrices: curves, ...(groups.length > 0 && { groups }) };
  const units = measuredUnits(measured);
  const windows = firstTokens(text!.windows, DIVERGENCE_TOKENS);
  const spent = (performance.now() - started) / 1000;
  const begun = performance.now();
  const { network, backend, letOthers, signal } = input;
  const values = await measureDivergences({
    network,
    backend,
    letOthers,
    signal,
    windows,
    units,
    seconds: minutes === undefined ? undefined : 60 * minutes - spent,
    progress: ({ done, share, message }) => {
      const seconds = (performance.now() - begun) / 1000;
      progress?.({
        done,
        total: units.length,
        message,
        ...(share > 0.01 ? { secondsLeft: (seconds / share) * (1 - share) } : {}),
      });
    },
  });
  const divergences = divergencesOf(units, values);
  const count = (some: boolean) =>
    units.reduce((sum, unit) => sum + (values.has(unit) === some ? unit.members.length : 0), 0);
  return {
    inputs,
    divergences: {
      text: text!.facts.name,
      tokens: tokensIn(windows),
      measured: count(true),
      filledIn: count(false),
      seconds: (performance.now() - begun) / 1000,
    },
    matrices: curves.map((curve) => {
      const divergence = divergences.get(curve.name);
      return divergence ? { ...curve, divergence } : curve;
    }),
  };
}

interface Seen {
  readonly curves: readonly Curve[];
  /** Those that tokens reached, for divergences. */
  readonly measured: readonly MeasuredMatrix[];
  /** Those that may share a factor. */
  readonly groups: readonly GroupSensitivity[];
}

async function fromStatistics(input: InputPlan, placed: readonly PlacedMatrix[], isLoss: boolean): Promise<Seen> {
  const collected = collector(input, placed, isLoss);
  const known = placed.filter(({ matrix }) => input.statistics!.factors.has(matrix.name));
  for (const [done, each] of known.entries()) {
    input.progress?.({ done, total: known.length, message: each.matrix.name });
    await collected.add(each, input.statistics!.factors.get(each.matrix.name)!);
  }
  return collected;
}

/** Statistics of a text: each factor is used as it comes, and forgotten. */
async function fromText(input: InputPlan, placed: readonly PlacedMatrix[], isLoss: boolean): Promise<Seen> {
  const { network, backend, text, letOthers, signal, progress } = input;
  const { windows } = text!;
  const collected = collector(input, placed, isLoss);
  const byGroup = new Map<PlacedGroup, PlacedMatrix[]>();
  const groups = [...new Map(placed.map(({ group }) => [group.name, group])).values()];
  for (const each of placed) byGroup.set(each.group, [...(byGroup.get(each.group) ?? []), each]);
  const digest = digestOfWindows(windows);
  const observer = new InputStatistics(
    backend,
    groups,
    async (group, r, tokens) => {
      for (const each of byGroup.get(group) ?? []) await collected.add(each, factorInMemory(group, r, tokens, digest));
    },
    signal,
  );
  const share = passProgress(network.decoder.layers.length, (value) =>
    progress?.({ ...value, message: `Activations, ${value.message.toLowerCase()}` }),
  );
  await forward({ network, backend, windows, observer, letOthers, signal, progress: share });
  return collected;
}

function collector(
  { backend, cache, request, letOthers, signal }: InputPlan,
  placed: readonly PlacedMatrix[],
  isLoss: boolean,
) {
  const groups = new GroupCurves(backend, cache, familiesOnInputs(placed, request));
  const curves: Curve[] = [];
  const measured: MeasuredMatrix[] = [];
  return {
    curves,
    measured,
    groups: groups.found,
    async add(each: PlacedMatrix, factor: InputFactor): Promise<void> {
      await letOthers?.();
      throwIfCancelled(signal, each.matrix.name);
      const curve = await curveOf(backend, cache, each, factor, { signal });
      curves.push(curve);
      await groups.add(each, factor, curve, { signal });
      if (!isLoss || factor.tokens === 0) return;
      measured.push({ ...each, basis: await basisOf(backend, each, factor, curve, { signal }) });
    },
  };
}

function factorInMemory({ name, inputs }: PlacedGroup, r: Float32Array, tokens: number, digest: string): InputFactor {
  return {
    kind: 'full',
    inputs,
    tokens,
    identity: () => ['text', digest, name],
    async read(row, out) {
      out.set(r.subarray(row * inputs, row * inputs + out.length));
    },
  };
}

function nothingToMeasure(isLoss: boolean): RankscopeError {
  return isLoss
    ? new RankscopeError(
        'wrong-use',
        'spread loss',
        'there is no text on which the loss could be measured',
        'Name a text (--text FILE), or a plan that was measured (--from PLAN)',
      )
    : new RankscopeError(
        'wrong-use',
        'spread activations',
        'there are neither statistics of activations nor a text',
        'Name one of them (--activations FILE, --text FILE), or a plan that was measured (--from PLAN)',
      );
}
