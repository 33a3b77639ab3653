import { RankscopeError } from '../../base/errors.ts';
import type { CalibrationUse } from '../../model/calibrationUse.ts';
import type { TextRequest } from '../../model/evaluation.ts';
import { moduleOfWeight, weightOfModule } from '../../model/names/moduleOfWeight.ts';
import { mostRows } from '../../network/batches.ts';
import { walkBlocks } from '../../network/blockwise.ts';
import { refuseIfMomentsTooLarge } from '../../network/groupwise/memory.ts';
import { inputGroups } from '../../network/inputGroups.ts';
import { openNetwork } from '../../network/network.ts';
import { readWindows } from '../../network/readWindows.ts';
import type { Factors } from '../../network/variant.ts';
import { tokensIn } from '../../network/windows.ts';
import { chosenMatrices } from '../../write/chosenMatrices.ts';
import { factorType, rounded } from '../../write/encode.ts';
import { refuseChanged } from '../checkpoints/opened.ts';
import { repetitionNotes } from '../compress/repeatedRuns.ts';
import { refuseTooManyTokens } from '../evaluate/streamMemory.ts';
import { type CalibratedFactors, calibrationNotes, type PlannedModel } from './calibratedFactors.ts';
import { withCalibrationDefaults } from './calibrationText.ts';
import { withFactorFile } from './factorFile.ts';
import { found } from './found.ts';
import { RIDGE, truncateBlock } from './truncateBlock.ts';

/** Streams of the dense and of the compressed network, before and behind a block, in units of an evaluation's. */
const NETWORKS = 2;

/**
 * Runs `use` with factors that were truncated block by block while a text passed through the network, which wait in a
 * file beside the result.
 * @throws RankscopeError 'wrong-use' for a text that is too short, 'unsupported' for an architecture that is not known,
 *   'too-large' with the bytes if a block does not fit, 'write-failed' when the disk is full, 'not-finite', 'cancelled'
 */
export async function withFactorsOnText<Result>(
  { devices, engine, opened, model, out, dtype, context: { signal, progress } }: PlannedModel,
  request: TextRequest,
  use: (factors: CalibratedFactors) => Promise<Result>,
): Promise<Result> {
  const { checkpoint } = opened;
  const network = await openNetwork(checkpoint, { signal });
  progress?.({ done: 0, total: 0, message: 'Reading the text' });
  const text = withCalibrationDefaults(request, network.decoder.context);
  const { windows, facts, notes } = await readWindows(checkpoint, network, text, signal);
  refuseTooManyTokens(network, { windows, facts }, NETWORKS);
  const inside = new Set(
    inputGroups(network).flatMap(({ layer, matrices }) => (layer === null ? [] : Object.keys(matrices))),
  );
  const chosen = chosenMatrices(model);
  const ranks = new Map<string, number>();
  for (const [name, { rank }] of chosen) if (inside.has(name)) ranks.set(moduleOfWeight(name), rank);
  const { factors: count } = model.plan.request;
  const written = (name: string, { b, a }: Factors): Factors => {
    const type = dtype ?? factorType(chosen.get(weightOfModule(name))!.matrix.tensor.dtype);
    return count === 2 ? { b: rounded(b, type), a: rounded(a, type) } : { b, a };
  };
  const inputErrors = new Map<string, number>();
  const short: CalibrationUse['short'][number][] = [];
  const byWeights: string[] = [];
  const layers = network.decoder.layers.length;

  return withFactorFile(out, async (file) => {
    await devices.run(engine, checkpoint.path, { signal }, async (backend, letOthers) => {
      // A device that fails is restarted, and so is all of this.
      short.length = 0;
      byWeights.splice(0, byWeights.length, ...[...chosen.keys()].filter((name) => !inside.has(name)));
      progress?.({ done: 0, total: layers, message: `Block 1 of ${layers}` });
      refuseIfMomentsTooLarge(network, backend, (name) => ranks.has(name), mostRows(windows));
      await walkBlocks(
        {
          network,
          backend,
          windows,
          signal,
          pause: letOthers,
          progress: (share) => {
            const done = Math.round(share * layers);
            const message = done < layers ? `Block ${done + 1} of ${layers}` : 'Writing';
            progress?.({ done, total: layers, message });
          },
        },
        async (visit) => {
          const change = await truncateBlock(visit, ranks, {
            written,
            measured(module, { tokens, inputs, error }) {
              const name = weightOfModule(module);
              if (error !== undefined) inputErrors.set(name, error);
              if (tokens === 0) byWeights.push(name);
              else if (tokens < inputs) short.push({ name, tokens, inputs });
            },
          });
          for (const [module, factors] of change.linears ?? []) await file.put(module, factors);
          return change;
        },
      );
    });
    await refuseChanged(checkpoint);
    return use({
      inputErrors,
      async factorsOf({ name }, rank) {
        if (!inside.has(name)) return undefined;
        if (!file.has(moduleOfWeight(name)))
          throw new RankscopeError('engine', name, 'is in the plan, but in no block of the network');
        return found(await file.take(moduleOfWeight(name)), rank, count);
      },
      use: () => ({
        kind: 'text',
        name: facts.name,
        tokens: tokensIn(windows),
        text: facts,
        ridge: RIDGE,
        short,
        byWeights,
        notes: [...notes, ...repetitionNotes('The text', windows), ...calibrationNotes({ short, byWeights })],
      }),
    });
  });
}
