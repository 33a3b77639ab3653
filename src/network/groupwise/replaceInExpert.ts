import { type Entered, type Passage, passExpert } from '../blocks/applyBlock.ts';
import type { Block, StoredModule } from '../blocks/block.ts';
import { freeLinear } from '../blocks/deviceLinear.ts';
import { expertOf, modulesOf, uploadModule } from '../blocks/expert.ts';
import { type FeedForward, feedForward } from '../operations/feedForward.ts';
import type { Linear } from '../operations/linear.ts';
import type { Token } from '../operations/mixingGradients.ts';
import { emptyRows, type Rows } from '../operations/rows.ts';
import { withScope } from '../operations/run.ts';
import type { Exchange } from './exchange.ts';
import { InputMoments } from './inputMoments.ts';
import { SteppedPass } from './steppedPass.ts';
import { type GroupInputs, type Pair, stepTogether } from './stepTogether.ts';

export interface ExpertToReplace {
  readonly number: number;
  readonly block: Block;
  readonly passages: readonly Passage[];
  /** The batches of both networks before the experts. */
  readonly entered: { readonly dense: readonly Entered[]; readonly compressed: readonly Entered[] };
  readonly isCut: (name: string) => boolean;
  readonly exchange: Exchange;
  readonly replace: (group: GroupInputs) => Promise<void>;
}

/** Replaces the layers of one expert, and passes what each network sends to it. */
export async function replaceInExpert({
  number,
  block,
  passages,
  entered,
  ...request
}: ExpertToReplace): Promise<void> {
  const { isCut, exchange } = request;
  const expert = block.storedExperts[number]!;
  const modules = modulesOf(expert);
  const { run } = passages[0]!;
  const { backend, signal } = run;
  const needs = (own: readonly Entered[]) => own.some(({ mixing }) => mixing.chosen[number]!.length > 0);
  const cut = modules.filter(({ name }) => isCut(name));
  if (cut.length === 0 && !needs(entered.dense) && !needs(entered.compressed)) return;
  const layers = new Map<StoredModule, Linear>();
  try {
    for (const module of modules) layers.set(module, await uploadModule(backend, module, signal));
    const shells = new Map(modules.map((module) => [module, exchange.shellOf(layers.get(module)!)]));
    const dense = expertOf(expert, (module) => layers.get(module)!);
    const changed = expertOf(expert, (module) => shells.get(module)!);
    const pairs = entered.dense.flatMap((own, batch): Pair<Rows>[] => {
      const tokens = own.mixing.chosen[number]!;
      if (tokens.length === 0) return [];
      const stepped = (from: Entered, part: FeedForward) => steppedExpert(passages[batch]!, from, tokens, part);
      return [{ dense: stepped(own, dense), compressed: stepped(entered.compressed[batch]!, changed) }];
    });
    const own = [...layers.values()];
    if (pairs.length > 0) await stepTogether(run, pairs, { ...request, layers: own });
    else for (const module of cut) await request.replace(withoutTokens(layers.get(module)!));
    for (const [batch, passage] of passages.entries()) {
      await passExpert(passage, entered.dense[batch]!, number, dense);
      await passExpert(passage, entered.compressed[batch]!, number, changed);
    }
  } finally {
    for (const layer of layers.values()) freeLinear(backend, layer);
  }
}

/** What an expert makes of some tokens of a batch, group by group. */
function steppedExpert(
  { run, settings }: Passage,
  { mixing: { input } }: Entered,
  tokens: readonly Token[],
  part: FeedForward,
): SteppedPass<Rows> {
  const { cols, values } = input;
  const own = emptyRows(tokens.length, cols);
  for (const [k, { row }] of tokens.entries()) own.values.set(values.subarray(row * cols, (row + 1) * cols), k * cols);
  return new SteppedPass((observe) =>
    withScope({ ...run, observe }, async (scope) =>
      scope.download(await feedForward(scope, await scope.upload(own), part, settings.feedForward.activation)),
    ),
  );
}

const withoutTokens = (layer: Linear): GroupInputs => ({
  layers: [layer],
  moments: new InputMoments(layer.inputs),
  sample: undefined,
});
