import type { Tensor } from '../../checkpoint/tensor.ts';
import type { Skipped } from '../findings.ts';
import { type Dimensions, NO_DIMENSIONS } from '../layout/dimensions.ts';
import {
  type LayerStack,
  layerStackOf,
  layerStacks,
  neighbourhoodOfLayer,
  ofAllLayers,
  ofOneLayer,
} from '../layout/layerStacks.ts';
import { hasOutputsLast, matricesIn } from '../layout/layout.ts';
import { type Neighbourhood, neighbourhoodOf } from '../layout/neighbourhood.ts';
import { notAMatrix } from '../layout/notAMatrix.ts';
import { plainMatrix, understandAxes } from '../layout/understandAxes.ts';
import type { Matrix } from '../matrix.ts';
import type { NetworkPlace } from '../matrixBase.ts';
import { StoredMatrix } from '../storedMatrix.ts';
import { denseRoleOfPath } from './denseRoles.ts';
import type { Family } from './family.ts';
import { fillIn, takeApart } from './namePath.ts';
import { recognize, roleOfPath } from './recognize.ts';
import { type Role, roleOfWord } from './roles.ts';
import { stackLabels } from './stackLabels.ts';
import { findStacks, type Split } from './stacks.ts';
import { roleInPlace, surroundings } from './surroundings.ts';
import { newTemplate, seen, type Template } from './template.ts';

/**
 * Something that becomes a matrix, or a stack of them, once its place in the network is known, such as the update of an
 * adapter.
 */
export interface Placeable {
  readonly name: string;
  readonly shape: readonly [number, number];
  matricesAt(place: NetworkPlace): readonly Matrix[];
}

/** The roles of a checkpoint's tensors in a network. */
export interface Anatomy {
  /** e.g. `LLaMA`; null if no table knows the names. */
  readonly family: string | null;
  /** Highest layer index + 1 over all stacks; 0 without layers. */
  readonly layers: number;
  readonly matrices: readonly Matrix[];
  readonly skipped: readonly Skipped[];
  /** What the names and shapes leave open, one sentence each. */
  readonly remarks: readonly string[];
}

/**
 * Places tensors in the network by their names, shapes and types, without reading values. Names that differ only in
 * numbers are analyzed once, so that 100,000 tensors take a fraction of a second.
 * @param refused tensors that are known not to be matrices, each with the reason.
 * @param dimensions what the configuration says, which decides between shapes that could be one thing or another.
 */
export function anatomy(
  parts: readonly (Tensor | Placeable)[],
  refused: ReadonlyMap<Tensor | Placeable, string> = new Map(),
  dimensions: Dimensions = NO_DIMENSIONS,
): Anatomy {
  const stacks = layerStacks(parts);
  const { entries, templates } = group(parts, refused, stacks);
  const family = recognize(
    new Set(templates.filter(({ isMatrix }) => isMatrix).map(({ path }) => path)),
    new Set(templates.map(({ path }) => path)),
  );
  const meanings = understand(templates, family);
  const around = surroundings(entries, dimensions);
  const swapped = family !== null && storesTransposed(family, entries, meanings);

  // A map, because a module may be called `__proto__`.
  const noWeight = new Map(Object.entries(family?.skip ?? {}));

  const labels = labelsOf(entries, meanings);
  const neighbourhood = neighbourhoodOf(
    parts.filter((part): part is Tensor => !isPlaceable(part)),
    dimensions,
  );
  const turned = turnedTemplates(entries, neighbourhood);
  /** By template, so that a remark covers all layers. */
  const doubts = new Map<Template, readonly [name: string, doubt: string]>();
  const matrices: Matrix[] = [];
  const skipped: Skipped[] = [];
  let layers = 0;
  for (const entry of entries) {
    const { part, numbers, template, useless } = entry;
    const meaning = meanings.get(template)!;
    const reason = noWeight.get(meaning.rest) ?? useless;
    if (reason !== undefined) {
      skipped.push({ name: part.name, reason });
      continue;
    }
    const layer = layerOf(meaning, numbers);
    if (layer !== null && layer >= layers) layers = layer + 1;
    const stack = layer === null ? '' : labels.get(stackOf(meaning, numbers));
    const expert = template.expertAt === null ? null : (numbers[template.expertAt] ?? null);
    const where = { ...(stack ? { stack } : {}), layer, module: moduleName(meaning, numbers, family), expert };
    if (isPlaceable(part)) {
      matrices.push(...part.matricesAt({ ...where, role: meaning.role ?? 'other' }));
      continue;
    }
    const isSwapped = turned.has(template) || (swapped && family?.transposed?.modules.includes(meaning.rest));
    const all = layerStackOf(part.name, stacks);
    const understood = all
      ? ofAllLayers(understandAxes(ofOneLayer(part, all), neighbourhoodOfLayer(neighbourhood, all)), part, all)
      : understandAxes(part, neighbourhood);
    const stored = understood ? { shape: part.shape, transposed: hasOutputsLast(understood) } : part;
    const role =
      roleInPlace(meaning.role, { ...entry, part: stored }, around) ??
      (understood?.isConvolution ? 'convolution' : 'other');
    const place = { ...where, role };
    if (!understood) {
      const [matrix, fixed] = plainMatrix(part, isSwapped);
      matrices.push(new StoredMatrix(part, matrix, place, fixed));
      continue;
    }
    if (understood.doubt !== undefined) doubts.set(template, [part.name, understood.doubt]);
    for (const matrix of matricesIn(understood)) {
      const index = (wanted: string) => matrix.indices.find(([kind]) => kind === wanted)?.[1];
      const own = { ...place, layer: index('layer') ?? layer, expert: index('expert') ?? expert };
      if (own.layer !== null && own.layer >= layers) layers = own.layer + 1;
      matrices.push(new StoredMatrix(part, matrix, own, understood.fixed));
    }
  }
  const remarks = [...doubts.values()].map(([name, doubt]) => `${name} ${doubt}.`);
  return { family: family?.name ?? null, layers, matrices, skipped, remarks };
}

const isPlaceable = (part: Tensor | Placeable): part is Placeable => 'matricesAt' in part;

interface Entry {
  readonly part: Tensor | Placeable;
  readonly numbers: readonly number[];
  readonly template: Template;
  /** Why it is not a matrix. */
  readonly useless: string | undefined;
}

interface Meaning extends Split {
  readonly role: Role | undefined;
}

function group(
  parts: readonly (Tensor | Placeable)[],
  refused: ReadonlyMap<Tensor | Placeable, string>,
  stacks: ReadonlyMap<string, LayerStack>,
): { entries: Entry[]; templates: Template[] } {
  const templates = new Map<string, Template>();
  const entries = parts.map((part) => {
    const { path, numbers } = takeApart(part.name);
    let template = templates.get(path);
    if (!template) {
      template = newTemplate(path, numbers);
      templates.set(path, template);
    }
    seen(template, numbers);
    const all = layerStackOf(part.name, stacks);
    const one = all ? ofOneLayer(part, all) : part;
    const useless = isPlaceable(one) ? undefined : (refused.get(part) ?? notAMatrix(one));
    template.isMatrix ||= useless === undefined;
    return { part, numbers, template, useless };
  });
  return { entries, templates: [...templates.values()] };
}

function understand(templates: readonly Template[], family: Family | null): Map<Template, Meaning> {
  return new Map(
    [...findStacks(templates)].map(([template, found]) => {
      const known = template.path.includes('.lora_')
        ? 'adapter'
        : ((family && roleOfPath(family, template.path)) ?? denseRoleOfPath(template.path) ?? roleOfWord(found.rest));
      return [template, { ...found, role: known === 'other' ? undefined : known }];
    }),
  );
}

/** The labels of the stacks that hold a matrix, by their paths. */
function labelsOf(entries: readonly Entry[], meanings: ReadonlyMap<Template, Meaning>): ReadonlyMap<string, string> {
  const stacks = new Set<string>();
  for (const { numbers, template, useless } of entries) {
    const meaning = meanings.get(template)!;
    if (useless === undefined && meaning.stack !== '') stacks.add(stackOf(meaning, numbers));
  }
  return stackLabels(stacks);
}

/** Null outside the stacks. */
function layerOf({ layerAt, stack }: Meaning, numbers: readonly number[]): number | null {
  if (layerAt === null) return stack === '' ? null : 0;
  return numbers[layerAt] ?? null;
}

/** The path of the stack with its numbers filled in: each stage of a hierarchy is a stack. */
function stackOf({ stack }: Meaning, numbers: readonly number[]): string {
  return stack.includes('#') ? fillIn(stack, numbers) : stack;
}

/**
 * The module with its numbers filled in. T5's `layer.0.SelfAttention` becomes `SelfAttention`: the number adds
 * nothing.
 */
function moduleName({ rest, stack, restAt }: Meaning, numbers: readonly number[], family: Family | null): string {
  // A block may be a single parameter, which is then named after its stack.
  const module = rest || stack.slice(stack.lastIndexOf('.') + 1);
  if (!rest || !module.includes('#')) return module;
  const filled = fillIn(module, numbers.slice(restAt));
  return (family?.collapse ?? []).reduce((path, part) => path.replace(new RegExp(`\\b${part}\\.\\d+\\.`), ''), filled);
}

function storesTransposed(family: Family, entries: readonly Entry[], meanings: Map<Template, Meaning>): boolean {
  const { transposed } = family;
  if (!transposed?.witnesses) return transposed !== undefined;
  return entries.some(
    ({ part: { shape }, template }) =>
      transposed.witnesses?.includes(meanings.get(template)!.rest) && shape.length === 2 && shape[0]! < shape[1]!,
  );
}

/**
 * Templates of weights that are stored as (in, out), like those of the Conv1D of transformers: a bias has as many
 * entries as there are outputs. Their square siblings by name, such as GPT-2's `c_proj`, are stored in the same way.
 */
function turnedTemplates(entries: readonly Entry[], { biasOf }: Neighbourhood): ReadonlySet<Template> {
  const turned = new Set<Template>();
  const square: Template[] = [];
  const decided = new Set<Template>();
  for (const { part, template } of entries) {
    const [rows = 0, cols = 0] = part.shape;
    if (decided.has(template) || part.shape.length !== 2 || isPlaceable(part) || !part.name.endsWith('.weight'))
      continue;
    decided.add(template);
    const bias = biasOf(part);
    if (bias?.shape.length !== 1) continue;
    if (rows === cols && rows === bias.shape[0]) square.push(template);
    else if (rows !== cols && cols === bias.shape[0]) turned.add(template);
  }
  if (turned.size > 0) for (const template of square) if (CONV1D.test(template.path)) turned.add(template);
  return turned;
}

const CONV1D = /(^|\.)(c_attn|c_proj|c_fc|q_attn)$/;
