import type { TensorInfo } from '../../checkpoint/checkpoint.ts';
import type { Place, Skipped } from '../findings.ts';
import { fixedBecause, isStack, matrixShape, notAMatrix } from '../matrixShape.ts';
import type { Family } from './families.ts';
import { fillIn, takeApart } from './namePath.ts';
import { recognize, roleOfPath } from './recognize.ts';
import { type Role, roleOfWord } from './roles.ts';
import { newTemplate, type Split, seen, split, stackLabels, type Template } from './template.ts';

/** A tensor, or a slice of one, seen as a matrix. */
export interface MatrixRef extends Place {
  /** The tensor's name; `name[3]` for a slice. */
  readonly name: string;
  readonly tensor: TensorInfo;
  /** [out, in] = [m, n], however it is stored. */
  readonly shape: readonly [number, number];
  /** Stored as (in, out): `rows` x `cols` is then n x m. */
  readonly transposed: boolean;
  /** Rows as stored; a convolution is (out, in * kernel). */
  readonly rows: number;
  readonly cols: number;
  /** Where it begins in the tensor, in elements. */
  readonly offset: number;
  readonly role: Role;
  /** Why this matrix can be looked at but not be replaced by factors in a PyTorch model; null where it can. */
  readonly fixed: string | null;
}

/** What a checkpoint's tensors are in a network. */
export interface Anatomy {
  /** e.g. `LLaMA`; null where no table knows the names. */
  readonly family: string | null;
  /** Highest layer index + 1 over all stacks; 0 without one. */
  readonly layers: number;
  readonly matrices: readonly MatrixRef[];
  readonly skipped: readonly Skipped[];
}

/**
 * Reads names, shapes and types; no value. Tensors that share storage are not looked for here (`ties.ts`). Names that differ only
 * in numbers are understood once, so that 100,000 tensors take a fraction of a second.
 */
export function anatomy(tensors: readonly TensorInfo[]): Anatomy {
  const { entries, templates } = group(tensors);
  const family = recognize(
    new Set(templates.filter(({ isMatrix }) => isMatrix).map(({ path }) => path)),
    new Set(templates.map(({ path }) => path)),
  );
  const meanings = understand(templates, family);
  const swapped = family !== null && storesTransposed(family, entries, meanings);

  // A map, because a module may be called `__proto__`.
  const noWeight = new Map(Object.entries(family?.skip ?? {}));

  const matrices: MatrixRef[] = [];
  const skipped: Skipped[] = [];
  let layers = 0;
  for (const { tensor, numbers, template, useless } of entries) {
    const meaning = meanings.get(template)!;
    const reason = useless ?? noWeight.get(meaning.rest);
    if (reason !== undefined) {
      skipped.push({ name: tensor.name, reason });
      continue;
    }
    const layer = meaning.layerAt === null ? null : (numbers[meaning.layerAt] ?? null);
    if (layer !== null && layer >= layers) layers = layer + 1;
    const transposed = tensor.transposed ?? (swapped && (family?.transposed?.modules.includes(meaning.rest) ?? false));
    const [rows, cols] = matrixShape(tensor);
    const role = meaning.role ?? (tensor.shape.length > 2 && !isStack(tensor) ? 'convolution' : 'other');
    const module = moduleName(meaning, numbers, family);
    const fixed = fixedBecause(tensor);
    const stacked = isStack(tensor);
    for (let slice = 0; slice < (stacked ? tensor.shape[0]! : 1); slice++) {
      const suffix = stacked ? `[${slice}]` : '';
      // Written out: spreading what all slices share doubled the time for many tensors.
      matrices.push({
        name: tensor.name + suffix,
        tensor,
        shape: transposed ? [cols, rows] : [rows, cols],
        transposed,
        rows,
        cols,
        offset: slice * rows * cols,
        layer,
        module: module + suffix,
        role,
        fixed,
      });
    }
  }
  return { family: family?.name ?? null, layers, matrices, skipped };
}

interface Entry {
  readonly tensor: TensorInfo;
  readonly numbers: readonly number[];
  readonly template: Template;
  /** Why it is no matrix. */
  readonly useless: string | undefined;
}

interface Meaning extends Split {
  /** With the stack's label, other numbers than the layer as `#`. */
  readonly module: string;
  readonly role: Role | undefined;
}

function group(tensors: readonly TensorInfo[]): { entries: Entry[]; templates: Template[] } {
  const templates = new Map<string, Template>();
  const entries = tensors.map((tensor) => {
    const { path, numbers } = takeApart(tensor.name);
    let template = templates.get(path);
    if (!template) {
      template = newTemplate(path, numbers);
      templates.set(path, template);
    }
    seen(template, numbers);
    const useless = notAMatrix(tensor);
    template.isMatrix ||= useless === undefined;
    return { tensor, numbers, template, useless };
  });
  return { entries, templates: [...templates.values()] };
}

function understand(templates: readonly Template[], family: Family | null): Map<Template, Meaning> {
  const splits = new Map(templates.map((template) => [template, split(template)]));
  const labels = stackLabels(
    new Set(
      templates
        .filter(({ isMatrix }) => isMatrix)
        .map((template) => splits.get(template)!)
        .filter(({ layerAt }) => layerAt !== null)
        .map(({ stack }) => stack),
    ),
  );
  return new Map(
    [...splits].map(([template, found]) => {
      const label = labels.get(found.stack) ?? '';
      const module = [label, found.rest].filter(Boolean).join('.') || found.stack;
      const known = template.path.includes('.lora_')
        ? 'adapter'
        : ((family && roleOfPath(family, template.path)) ?? roleOfWord(found.rest));
      return [template, { ...found, module, role: known === 'other' ? undefined : known }];
    }),
  );
}

/** The module with its other numbers; T5's `layer.0.SelfAttention` is `SelfAttention`: the number only repeats the name. */
function moduleName({ module, layerAt }: Meaning, numbers: readonly number[], family: Family | null): string {
  if (!module.includes('#')) return module;
  const filled = fillIn(module, numbers, layerAt);
  return (family?.collapse ?? []).reduce((path, part) => path.replace(new RegExp(`\\b${part}\\.\\d+\\.`), ''), filled);
}

function storesTransposed(family: Family, entries: readonly Entry[], meanings: Map<Template, Meaning>): boolean {
  const { transposed } = family;
  if (!transposed?.witnesses) return transposed !== undefined;
  return entries.some(
    ({ tensor: { shape }, template }) =>
      transposed.witnesses?.includes(meanings.get(template)!.rest) && shape.length === 2 && shape[0]! < shape[1]!,
  );
}
