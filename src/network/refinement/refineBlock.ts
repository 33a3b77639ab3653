import { RankscopeError } from '../../base/errors.ts';
import { yieldOrCancel } from '../../base/eventLoop.ts';
import type { Passage } from '../blocks/applyBlock.ts';
import { rotationTable } from '../operations/rope.ts';
import { type LossBatch, lossOf, withGradients } from './blockLoss.ts';
import type { Refinement, RefinementRequest, RefinementRows, RefinementStep } from './refinement.ts';
import { refuseIfTooLargeToRefine } from './refinementMemory.ts';
import { TrainedBlock, type TrainedValues } from './trainedBlock.ts';

/** How often the held-out loss is measured: often enough to find a good step, and for about a tenth of the time. */
const MEASUREMENTS = 12;

/**
 * Trains the factors and norms of one block together, so that the block gives the dense one's outputs on the inputs
 * of the compressed network: Adam (Kingma and Ba, arXiv 1412.6980) with a cosine schedule (Loshchilov and Hutter,
 * arXiv 1608.03983) behind a short rise, a batch a step. The step with the smallest held-out loss is kept; where none
 * is below that of the given factors, or a gradient is NaN or infinite, these are returned, with the reason. Memory on
 * the device: the block with its experts, its factors four times (values, gradients, two moments), and the activations
 * and gradients of one batch.
 * @throws RankscopeError 'too-large' if the device lacks that memory, 'wrong-use' for rows or factors that do not fit,
 *   'cancelled'
 */
export async function refineBlock(request: RefinementRequest): Promise<Refinement> {
  const { network, backend, layer, block, factors, heldOut, steps, rate, signal, progress } = request;
  const subject = `${network.weights.subject}, block ${layer + 1}`;
  for (const rows of [request, heldOut]) checkRows(subject, rows, network.decoder.width);
  refuseIfTooLargeToRefine(request);
  const yielding = yieldOrCancel(signal, subject);
  const run = { backend, pause: () => request.pause?.() ?? yielding(), signal };
  const settings = network.decoder.layers[layer]!;
  const rotationsOf = rotationTable(settings.attention.rope);
  const passageOf = (lengths: readonly number[]): Passage => ({ run, network, settings, lengths, rotationsOf });
  const [training, measuring] = [batchesOf(request, passageOf), batchesOf(heldOut, passageOf)];

  const own = await TrainedBlock.open(backend, block, factors, signal);
  try {
    const measure = async () => {
      let sum = 0;
      for (const batch of measuring) sum += await lossOf(batch.passage, own.block, batch);
      return sum / measuring.length;
    };
    const losses: RefinementStep[] = [];
    const before = await measure();
    const unchanged = (reason: string): Refinement => {
      return { factors, norms: block.norms, losses, before, after: before, kept: false, reason };
    };
    if (!Number.isFinite(before)) return unchanged('the loss is not finite before any step');
    let best: { readonly loss: number; readonly values: TrainedValues } | undefined;
    for (let step = 1; step <= steps; step++) {
      const batch = training[(step - 1) % training.length]!;
      const now = rate * shareOfRate(step - 1, steps);
      let [loss, wrong]: [number, string | undefined] = [Number.NaN, undefined];
      await withGradients(batch.passage, own.block, own.trained, batch, async (found, tape) => {
        loss = found;
        wrong = await own.step(tape, now, step);
      });
      const isMeasured = step === steps || step % Math.ceil(steps / MEASUREMENTS) === 0;
      const after = wrong === undefined && isMeasured ? await measure() : undefined;
      const taken = { step, steps, loss, heldOut: after };
      losses.push(taken);
      progress?.(taken);
      if (wrong !== undefined) return unchanged(`the gradient of ${wrong} is not finite at step ${step}`);
      if (after !== undefined && after < (best?.loss ?? before))
        best = { loss: after, values: await own.values(run.pause) };
    }
    if (!best) return unchanged('no step lowered the loss on the held-out windows');
    return { ...best.values, losses, before, after: best.loss, kept: true };
  } finally {
    own.free();
  }
}

/**
 * Rises over the first eighth of the steps, then falls along half a cosine. Adam's first steps move every entry by the
 * whole rate, however small its gradient is: without the rise they undo more than the next ones gain.
 */
function shareOfRate(taken: number, steps: number): number {
  const rise = Math.min(1, (taken + 1) / Math.ceil(steps / 8));
  return (rise * (1 + Math.cos((Math.PI * taken) / steps))) / 2;
}

function batchesOf(
  { lengths, inputs, targets }: RefinementRows,
  passageOf: (lengths: readonly number[]) => Passage,
): (LossBatch & { readonly passage: Passage })[] {
  return inputs.map((input, k) => ({ input, target: targets[k]!, passage: passageOf(lengths[k]!) }));
}

function checkRows(subject: string, { lengths, inputs, targets }: RefinementRows, width: number): void {
  const refuse = (found: string) => new RankscopeError('wrong-use', subject, found);
  if (inputs.length === 0) throw refuse('there is no batch to refine it on');
  if (targets.length !== inputs.length || lengths.length !== inputs.length)
    throw refuse(
      `${inputs.length} batches of inputs have ${targets.length} of targets and ${lengths.length} of lengths`,
    );
  for (const [k, input] of inputs.entries()) {
    const target = targets[k]!;
    const rows = lengths[k]!.reduce((sum, length) => sum + length, 0);
    if (input.rows !== rows || target.rows !== rows || input.cols !== width || target.cols !== width)
      throw refuse(
        `batch ${k + 1} has ${input.rows} x ${input.cols} inputs and ${target.rows} x ${target.cols} targets, not ${rows} x ${width}`,
      );
  }
}
