import { basename } from 'node:path';
import { countParameters } from '../../checkpoint/ties.ts';
import type { EvaluateRequest, Evaluation, VariantEvaluation } from '../../model/evaluation.ts';
import { truncationNote } from '../../model/plan/onInputs.ts';
import { forward } from '../../network/forward.ts';
import { networkWith, openNetwork } from '../../network/network.ts';
import { readWindows } from '../../network/readWindows.ts';
import { Scores } from '../../network/score.ts';
import type { Variant } from '../../network/variant.ts';
import type { CallContext, EvaluateProgress } from '../../protocol/service.ts';
import { rewrittenFactors } from '../activations/rewrittenFactors.ts';
import { type Activations, withActivations } from '../activations/withActivations.ts';
import { type OpenCheckpoints, type Opened, refuseChanged, viewOf } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { type CutVariant, cutVariants } from './cutVariants.ts';
import { decompositions, FactorStore } from './factorStore.ts';
import { passProgress } from './passProgress.ts';
import { refuseTooManyTokens } from './streamMemory.ts';

type Described = Pick<VariantEvaluation, 'name' | 'kind' | 'rank' | 'size' | 'predictedError'>;

/**
 * Measures how well the network of a checkpoint and its variants predict a text, in one reading of the weights.
 * @throws RankscopeError 'not-finite' for a logit that is NaN or infinite, and what reading the text, the plans and the
 *   weights throws
 */
export function evaluate(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: EvaluateRequest,
  context: CallContext<EvaluateProgress>,
): Promise<Evaluation> {
  return checkpoints.useAll([request.path, ...(request.files ?? [])], context.signal, ([opened, ...files]) =>
    evaluateOpened(devices, opened!, files, request, context),
  );
}

async function evaluateOpened(
  devices: Devices,
  opened: Opened,
  files: readonly Opened[],
  request: EvaluateRequest,
  { signal, progress }: CallContext<EvaluateProgress>,
): Promise<Evaluation> {
  const started = performance.now();
  const { checkpoint } = opened;
  const network = await openNetwork(checkpoint, { signal });
  progress?.({ done: 0, total: 0, message: 'Reading the text' });
  const { windows, facts, notes } = await readWindows(checkpoint, network, request, signal);
  const cut = await cutVariants(opened, network, request, signal);
  const others = files.map((file) => networkWith(network, file.checkpoint));
  refuseTooManyTokens(network, { windows, facts }, 1 + cut.length + others.length);
  const engine = devices.settle(request);

  const pass = (activations: Activations | undefined) =>
    devices.run(engine, checkpoint.path, { signal }, async (backend, letOthers) => {
      const how = decompositions(backend, signal, activations && rewrittenFactors(opened, activations));
      const { variants, describe } = withFactors(how, cut);
      const all = [
        ...variants,
        ...others.map((other, k) => ({ name: nameOf(files[k]!), replaced: new Map(), network: other })),
      ];
      const scores = new Scores({ backend, windows, names: all.map(({ name }) => name), subject: checkpoint.path });
      await forward({
        network,
        backend,
        windows,
        variants: all,
        take: scores.take,
        letOthers,
        signal,
        progress: passProgress(network.decoder.layers.length, progress),
      });
      return { scores: scores.result(), ...describe(), info: backend.info };
    });
  const { scores, described, unused, info } = await withActivations(opened, request.activations, signal, pass);
  for (const { checkpoint: each } of [opened, ...files]) await refuseChanged(each);

  const { path, format, parameters, bytes } = viewOf(opened);
  const all = [...described, ...files.map((file) => describeFile(file, parameters))];
  return {
    format: 'rankscope.evaluation/1',
    source: 'rankscope',
    checkpoint: { path, format, parameters, bytes },
    text: facts,
    dense: scores.dense,
    variants: all.map((variant, k) => ({ ...variant, ...scores.variants[k]! })),
    engine: info,
    seconds: (performance.now() - started) / 1000,
    notes: [
      ...notes,
      ...(request.plans ?? []).flatMap((each) => planNotes(each, facts.name, request.activations !== undefined)),
      ...cut.flatMap((variant, k) => notesOf(variant, unused[k]!)),
    ],
  };
}

/** The variants on their way through a device, and what is known of them behind it. */
function withFactors(how: ReturnType<typeof decompositions>, cut: readonly CutVariant[]) {
  const store = new FactorStore(
    how,
    cut.flatMap(({ cuts }) => [...cuts.values()]),
  );
  const taken = cut.map(() => new Set<string>());
  const variants = cut.map(
    ({ name, cuts }, k): Variant => ({
      name,
      replaced: new Map(
        [...cuts].map(([tensor, part]) => [
          tensor,
          () => {
            taken[k]!.add(part.matrix.name);
            return store.take(part);
          },
        ]),
      ),
    }),
  );
  const describe = () => ({
    described: cut.map(({ name, kind, rank, size, weight, predictedError, cuts }): Described => {
      const lost = [...cuts.values()].reduce((sum, part) => {
        const [m, n] = part.matrix.shape;
        return sum + (store.lostShare(part) ?? 0) * m * n;
      }, 0);
      return { name, kind, rank, size, predictedError: predictedError ?? Math.sqrt(weight > 0 ? lost / weight : 0) };
    }),
    unused: cut.map(({ cuts }, k) => {
      const names = new Set([...cuts.values()].map(({ matrix }) => matrix.name));
      return [...names].filter((name) => !taken[k]!.has(name));
    }),
  });
  return { variants, describe };
}

function describeFile(file: Opened, parametersBefore: number): Described {
  const { checkpoint } = file;
  const parametersOfModel = countParameters(checkpoint.tensors, file.ties());
  return {
    name: nameOf(file),
    kind: 'file',
    rank: onlyRank(checkpoint.metadata.get('rankscope.ranks')),
    size: { cut: null, parametersOfModel, keptShareOfModel: parametersOfModel / parametersBefore },
    predictedError: null,
  };
}

const nameOf = ({ checkpoint }: Opened) => basename(checkpoint.path);

/** The rank of all factors of a file, if they have the same. */
function onlyRank(text = '{}'): number | null {
  try {
    const ranks = new Set(Object.values(JSON.parse(text) as object));
    const [rank] = ranks;
    return ranks.size === 1 && typeof rank === 'number' ? rank : null;
  } catch {
    return null;
  }
}

/** Of a plan that a text made: how it should be applied, and that another text should be its judge. */
function planNotes(
  { name, plan }: NonNullable<EvaluateRequest['plans']>[number],
  text: string,
  isOnInputs: boolean,
): string[] {
  const note = isOnInputs ? undefined : truncationNote(name, plan);
  const isSame = [plan.sensitivities?.inputs.text, plan.sensitivities?.divergences?.text].includes(text);
  return [
    ...(note === undefined ? [] : [note]),
    ...(isSame ? [`The ranks of ${name} come from ${text} as well: measure on another text.`] : []),
  ];
}

function notesOf({ name, cuts }: CutVariant, unused: readonly string[]): string[] {
  if (cuts.size === 0) return [`${name} cuts no matrix: it is the dense network.`];
  if (unused.length === 0) return [];
  const shown = unused.slice(0, 3).join(', ') + (unused.length > 3 ? ' ...' : '');
  return [`${name} also cuts ${unused.length} matrices outside the network that was evaluated (${shown}).`];
}
