import { stat } from 'node:fs/promises';
import { basename, dirname, parse, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { refuseExisting } from '../../files/wholeFile.ts';
import { REFINEMENT } from '../../model/compression.ts';
import { makePlan } from '../../model/plan/allocate.ts';
import { leftOut } from '../../model/plan/leftOut.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../model/plan/planRequest.ts';
import type { CallContext, ScriptReport, ScriptRequest } from '../../protocol/service.ts';
import { factorType } from '../../write/encode.ts';
import { ownMetadata } from '../../write/metadata.ts';
import {
  calibrationScript,
  compressionScript,
  evaluationScript,
  type ScriptPlan,
  type ScriptSettings,
} from '../../write/pythonScript.ts';
import { writeTarget } from '../../write/target.ts';
import { type Opened, viewOf } from '../checkpoints/opened.ts';
import { isFactorized, refuseFactorized } from '../plan/factorized.ts';
import { planCandidates } from '../plan/planCandidates.ts';
import { refuseOther } from '../plan/refuseOther.ts';
import { rewrittenModel } from '../plan/rewrittenModel.ts';

/** Weights under these names are found by transformers in a folder, parts only through an index. */
const WHOLE = /^(?:model|pytorch_model)\.(?:safetensors|bin)$/;
const INDEX = /^(?:model|pytorch_model)\.(?:safetensors|bin)\.index\.json$/;

/**
 * Writes a script for transformers that measures what `evaluate` measures, collects what `calibrate` collects, or
 * compresses as `compress` does. Nothing is computed, and nothing of the checkpoint is read but its directory, and for
 * the last one what could be tied.
 * @throws RankscopeError 'unsupported' for a format that transformers does not load, 'malformed' without config.json,
 * 'wrong-use' for a plan of another checkpoint or an existing file
 */
export async function writeScript(
  opened: Opened,
  request: ScriptRequest,
  { signal }: CallContext<never>,
): Promise<ScriptReport> {
  const { code, overwrite = false, measure } = request;
  const { checkpoint } = opened;
  const model = modelFor(checkpoint);
  if (request.kind !== 'compress' && measure.text === undefined && measure.ids === undefined)
    throw new RankscopeError('wrong-use', 'the text', 'missing', 'Name a text file, or a file of token ids');
  if (request.kind !== 'evaluate') refuseFactorized(checkpoint);
  if (!overwrite) await refuseExisting(code);
  for (const each of measure.files ?? []) await refuseFolder(each);
  const path = (file: string | undefined) => (file === undefined ? null : resolve(file));
  const out = request.out ?? resultOf(code, request.kind);
  const settings = {
    model,
    text: path(measure.text),
    ids: path(measure.ids),
    context: measure.context ?? null,
    tokens: measure.tokens ?? null,
    out,
  };
  const text = await scriptOf(opened, request, settings, signal);
  const sources = [
    ...checkpoint.files.map((file) => file.path),
    ...[measure.text, measure.ids, request.compress?.evaluate, ...(measure.files ?? [])].filter(
      (file) => file !== undefined,
    ),
  ];
  await writeTarget({ out: code, overwrite, sources, bytes: Buffer.byteLength(text) }, (append) => append(text));
  return { code, out: resolve(dirname(resolve(code)), out) };
}

/** `model.evaluate.py` writes `model.evaluation.json`. */
function resultOf(code: string, kind: ScriptRequest['kind']): string {
  const stem = parse(code).name.replace(/[._-](?:evaluate|calibrate|compress)$/, '');
  return `${stem}.${RESULTS[kind]}`;
}

const RESULTS: Readonly<Record<ScriptRequest['kind'], string>> = {
  evaluate: 'evaluation.json',
  calibrate: 'activations.safetensors',
  compress: 'compressed.safetensors',
};

/** The shards of a folder of factors do not say how to load them: its modeling file does. */
async function refuseFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory())
    throw new RankscopeError(
      'wrong-use',
      path,
      'it is a folder, and the script reads files beside the model',
      'Name a file that was written with --out NAME.safetensors',
    );
}

async function scriptOf(
  opened: Opened,
  request: ScriptRequest,
  settings: ScriptSettings,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (request.kind === 'calibrate') return calibrationScript(settings);
  if (request.kind === 'evaluate')
    return evaluationScript({ ...settings, ...(await variantsOf(opened, request, signal)) });
  return compressionScript({ ...settings, ...(await compressionOf(opened, request, signal)) });
}

/** Where transformers finds the model: its folder, or a file that it would not find there by itself. */
function modelFor({ path, format, files, configuration, tensors }: Checkpoint): string {
  const [first] = files;
  if (first === undefined || !['safetensors', 'pytorch', 'gguf'].includes(format))
    throw new RankscopeError(
      'unsupported',
      path,
      `transformers does not load ${format}`,
      'Name a checkpoint in safetensors, PyTorch or GGUF',
    );
  const file = resolve(first.path);
  if (format === 'gguf') return file;
  if (!configuration)
    throw new RankscopeError(
      'malformed',
      path,
      'has no config.json beside it that is a JSON object, which transformers needs',
      'Put that of the model into its folder',
    );
  const names = files.map((each) => basename(each.path));
  const isFound = names.length === 1 ? WHOLE.test(names[0]!) : names.some((name) => INDEX.test(name));
  if (isFound && !isFactorized({ tensors })) return dirname(file);
  if (files.length === 1 && format === 'safetensors') return file;
  throw new RankscopeError(
    'unsupported',
    path,
    'transformers finds weights only as model.safetensors or pytorch_model.bin, or as parts of these with an index',
    'Name one of these files, an index, or their folder',
  );
}

/** What stands beside the dense model, by the names that transformers gives matrices. */
async function variantsOf(opened: Opened, { measure }: ScriptRequest, signal: AbortSignal | undefined) {
  const { ranks = [], plans = [], files = [] } = measure;
  const { path, format, parameters, bytes } = viewOf(opened);
  return {
    checkpoint: { path, format, parameters, bytes },
    ranks,
    ...(ranks.length + plans.length > 0 ? await cutsOf(opened, measure, signal) : NO_CUTS),
    files: files.map((file) => resolve(file)),
    isFactorized: isFactorized(opened.checkpoint),
  };
}

/** The choice of matrices and their names for transformers, and what the result is told of the checkpoint. */
async function compressionOf(opened: Opened, { compress }: ScriptRequest, signal: AbortSignal | undefined) {
  const {
    keep = 0.8,
    evaluate,
    refine = true,
    steps = REFINEMENT.steps,
    rate = REFINEMENT.rate,
    seed = 0,
  } = compress ?? {};
  if (!(keep > 0 && keep < 1)) throw new RankscopeError('wrong-use', 'keep', `${keep}`, 'Give a share between 0 and 1');
  const everything = await ofLayers(opened, signal);
  const { checkpoint, matrices, plan, ties } = rewrittenModel(opened, everything, await opened.tiesByContent(signal));
  const typeOf = new Map(matrices.map(({ name, dtype }) => [name, dtype]));
  const names = plan.matrices.map(({ name }) => name);
  const types = [...new Set(names.map((name) => typeOf.get(name)!))];
  const cut = types.map((type) => [type, names.filter((name) => typeOf.get(name) === type)] as const);
  const { path, format, parameters, bytes } = viewOf(opened);
  return {
    checkpoint: { path, format, parameters, bytes },
    keep,
    evaluate: evaluate === undefined ? null : resolve(evaluate),
    steps: refine ? steps : 0,
    rate,
    secondRate: REFINEMENT.secondRate,
    seed,
    request: { ...PLAN_DEFAULTS, spread: 'loss' },
    cut: Object.fromEntries(cut),
    ties,
    metadata: Object.fromEntries(ownMetadata(checkpoint)),
  };
}

const NO_CUTS = { cut: [], plans: [], ties: [], factorType: null } as const;

async function cutsOf(
  opened: Opened,
  { ranks = [], plans = [] }: ScriptRequest['measure'],
  signal: AbortSignal | undefined,
) {
  const everything = await ofLayers(opened, signal);
  for (const { name, plan } of plans) {
    refuseOther(plan, opened);
    if (plan.matrices.some(({ shared }) => shared !== undefined))
      throw new RankscopeError(
        'unsupported',
        name,
        'the script has no factors that matrices share',
        'Apply the plan, and name its file with --file',
      );
  }
  const { matrices, plan, ties } = rewrittenModel(opened, everything, opened.ties());
  const cut = ranks.length > 0 ? plan.matrices.map(({ name }) => name) : [];
  const planned = plans.map(({ name, plan: own }) => scriptPlan(name, rewrittenModel(opened, own, opened.ties()).plan));
  const chosen = new Set([...cut, ...planned.flatMap(({ ranks: own }) => Object.keys(own))]);
  const types = new Set(matrices.filter(({ name }) => chosen.has(name)).map(({ dtype }) => factorType(dtype)));
  return {
    cut,
    plans: planned,
    ties: ties.filter((group) => group.some((name) => chosen.has(name))),
    // What transformers makes of GGUF has another type than the file.
    factorType: opened.checkpoint.format === 'gguf' && types.size === 1 ? [...types][0]! : null,
  };
}

/** A plan of the matrices in layers that a rank cuts where nothing else is said. */
async function ofLayers(opened: Opened, signal: AbortSignal | undefined): Promise<Plan> {
  const request = { ...PLAN_DEFAULTS, budget: { kind: 'rank', value: 1 } } as const;
  const reasonOf = leftOut(request);
  const inputs = (await planCandidates(opened, signal))
    .filter(({ matrix, input }) => matrix.layer !== null && reasonOf(input) === undefined)
    .map(({ input }) => ({ ...input, singularValues: [] }));
  return makePlan(viewOf(opened), inputs, request);
}

function scriptPlan(name: string, { request, matrices, totals }: Plan): ScriptPlan {
  return {
    name,
    ranks: Object.fromEntries(matrices.flatMap(({ name: own, rank }) => (rank === null ? [] : [[own, rank]]))),
    factors: request.factors,
    before: totals.parametersBefore,
    after: totals.parametersAfter,
    error: totals.error,
  };
}
