import { throwIfCancelled } from '../../base/errors.ts';
import type { Backend } from '../../devices/backend.ts';
import type { BlockChange, BlockVisit } from '../../network/blockwise.ts';
import { replaceByGroups } from '../../network/groupwise/replaceByGroups.ts';
import type { GroupInputs } from '../../network/groupwise/stepTogether.ts';
import type { Linear } from '../../network/operations/linear.ts';
import type { Factors } from '../../network/variant.ts';
import { errorOnInputs } from '../../spectrum/errorOnInputs.ts';
import { truncateOnInputs } from '../../spectrum/truncateOnInputs.ts';

/** What pulls a matrix to the dense one, in units of the mean second moment of its inputs. */
export const RIDGE = 0.1;

/** What a matrix lost on the inputs of the compressed network. */
export interface InputLoss {
  /** Tokens that reached it. */
  readonly tokens: number;
  /** Its columns. */
  readonly inputs: number;
  /** ||W X - W' X'||_F / ||W X||_F on tokens of the last batch; undefined if none reached it. */
  readonly error: number | undefined;
}

export interface TruncateBlockOptions {
  /** Default 0.1. */
  readonly ridge?: number;
  /** The factors as they will be written, so that all that follows makes up for their roundings. */
  readonly written?: (name: string, factors: Factors) => Factors;
  /** Receives what each matrix lost. */
  readonly measured?: (name: string, loss: InputLoss) => void;
}

/**
 * Truncates matrices of a block to their ranks on what they read, group by group (`replaceByGroups`), by the formula of
 * `truncateOnInputs`. An expert that no token reaches is truncated by its weights alone.
 * @param ranks by the names of modules
 * @throws RankscopeError as `truncateOnInputs` does
 */
export function truncateBlock(
  visit: BlockVisit,
  ranks: ReadonlyMap<string, number>,
  { ridge = RIDGE, written = (_, factors) => factors, measured }: TruncateBlockOptions = {},
): Promise<BlockChange> {
  const run = visit.calibration.passages[0]?.run;
  return replaceByGroups(visit, {
    isCut: (name) => ranks.has(name),
    async replace(group) {
      const { backend, signal, pause } = run!;
      const weights = group.layers.map(({ name, steps }) => ({
        name,
        matrix: steps[0]!.matrix,
        transposed: !steps[0]!.transpose,
        rank: ranks.get(name)!,
      }));
      const found = await truncateOnInputs(backend, momentsOf(group), weights, { ridge, signal, pause });
      const factors = new Map<string, Factors>();
      for (const [k, layer] of group.layers.entries()) {
        throwIfCancelled(signal, layer.name);
        const own = written(layer.name, found[k]!);
        factors.set(layer.name, own);
        measured?.(layer.name, await lossOf(backend, layer, own, group));
      }
      return factors;
    },
  });
}

/** Without tokens, all directions count the same. */
function momentsOf({ moments }: GroupInputs) {
  if (moments.tokens > 0) return moments;
  const { inputs } = moments;
  const identity = new Float64Array(inputs ** 2);
  for (let i = 0; i < inputs; i++) identity[i * inputs + i] = 1;
  return { inputs, cross: identity, own: identity };
}

async function lossOf(backend: Backend, layer: Linear, factors: Factors, group: GroupInputs): Promise<InputLoss> {
  const { tokens, inputs } = group.moments;
  const { sample } = group;
  if (!sample) return { tokens, inputs, error: undefined };
  const { matrix, transpose } = layer.steps[0]!;
  const error = await errorOnInputs(
    backend,
    { matrix, transposed: !transpose },
    factors,
    sample.dense.values,
    sample.compressed.values,
  );
  return { tokens, inputs, error };
}
