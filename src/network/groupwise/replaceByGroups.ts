import { applyBlock, type Entered, enterMixture, leaveMixture, type Passage } from '../blocks/applyBlock.ts';
import { type Block, linearsOf, withReplaced } from '../blocks/block.ts';
import { modulesOf } from '../blocks/expert.ts';
import type { BlockChange, BlockVisit } from '../blockwise.ts';
import type { Rows } from '../operations/rows.ts';
import type { Factors } from '../variant.ts';
import { Exchange } from './exchange.ts';
import { replaceInExpert } from './replaceInExpert.ts';
import { SteppedPass } from './steppedPass.ts';
import { type GroupInputs, type Pair, type Passed, stepTogether } from './stepTogether.ts';

export interface GroupwiseRequest {
  /** Whether a layer is to be replaced, by its module's name. */
  readonly isCut: (name: string) => boolean;
  /** Returns factors for each layer of a group, by its module's name. */
  readonly replace: (group: GroupInputs) => Promise<ReadonlyMap<string, Factors>>;
}

/**
 * Replaces the layers of a block group by group, in the order in which they are computed: the inputs of each group come
 * from the dense block on the dense stream, and from the block with all earlier groups replaced on the compressed one.
 * Both streams pass the block once, and wait before each group in device memory, as far as that is enough; the rest
 * begins again for each group. In a mixture, an expert sees the tokens that the router of the dense network sends to
 * it, in both networks; the compressed stream then goes where its own router sends it, as it will when the result runs.
 */
export async function replaceByGroups(visit: BlockVisit, request: GroupwiseRequest): Promise<BlockChange> {
  const { block, calibration } = visit;
  const { passages } = calibration;
  const { isCut } = request;
  const names = [...linearsOf(block), ...block.storedExperts.flatMap(modulesOf)].map(({ name }) => name);
  if (passages.length === 0 || !names.some(isCut)) return {};
  const { run, settings } = passages[0]!;
  const linears = new Map<string, Factors>();
  const exchange = new Exchange(run);
  const changed = withReplaced(block, (layer) => exchange.shellOf(layer));
  const replace = async (group: GroupInputs) => {
    const factors = await request.replace(group);
    for (const layer of group.layers) {
      const own = factors.get(layer.name)!;
      linears.set(layer.name, own);
      await exchange.put(layer, own);
    }
  };
  const stepped = { layers: linearsOf(block), isCut, replace };
  const pairs = <Result>(pass: (passage: Passage, part: Block, rows: Rows) => Promise<Result>) =>
    passages.map((passage, batch): Pair<Result> => {
      const of = (part: Block, rows: Rows) =>
        new SteppedPass((observe) => pass({ ...passage, run: { ...run, observe } }, part, rows));
      return { dense: of(block, calibration.dense[batch]!), compressed: of(changed, calibration.compressed[batch]!) };
    });
  const finished = ({ dense, compressed }: Passed<Rows>): BlockChange => {
    calibration.haveTargets(dense);
    return { linears, outputs: compressed };
  };
  try {
    if (!settings.feedForward.experts) return finished(await stepTogether(run, pairs(applyBlock), stepped));
    const entered = await stepTogether(run, pairs(enterMixture), stepped);
    for (const number of block.storedExperts.keys())
      await replaceInExpert({ number, block, passages, entered, isCut, exchange, replace });
    const left = async (own: readonly Entered[]) => {
      const rows: Rows[] = [];
      for (const [batch, each] of own.entries()) rows.push(await leaveMixture(passages[batch]!, block, each));
      return rows;
    };
    return finished({ dense: await left(entered.dense), compressed: await left(entered.compressed) });
  } finally {
    exchange.free();
  }
}
