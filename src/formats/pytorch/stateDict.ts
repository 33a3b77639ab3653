import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { MAX_NESTING, MAX_TENSORS } from '../../bytes/limits.ts';
import {
  asKind,
  type CallValue,
  type Entries,
  globalName,
  hasKeys,
  itemsOf,
  pairsOf,
  type Value,
} from '../../bytes/pickle/values.ts';
import type { NumpyArray } from '../numpy/pickledArray.ts';
import { type PickledSparse, type PickledTensor, pickledTensor } from './pickledTensor.ts';

export interface NamedTensor {
  /** The keys and attributes that lead to the tensor. */
  readonly path: readonly string[];
  /** How many leading parts of `path` are keys of dictionaries, not attributes of objects. */
  readonly keys: number;
  readonly tensor: PickledTensor | PickledSparse | NumpyArray;
}

export interface Found {
  readonly tensors: readonly NamedTensor[];
  /** What was left out, one sentence each. */
  readonly remarks: readonly string[];
}

/**
 * All tensors in the object that a pickle describes, except an optimizer's state. Handles cyclic and shared structures.
 */
export function findTensors(file: string, root: Value, allowance: Allowance): Found {
  const search = new Search(file, allowance);
  search.visit(root, { path: [], keys: 0, attributes: false }, 0);
  return { tensors: search.tensors, remarks: search.remarks() };
}

interface Place extends Pick<NamedTensor, 'path' | 'keys'> {
  /** Whether the path passes through an object's attribute. */
  readonly attributes: boolean;
}

function step({ path, keys, attributes }: Place, part: string): Place {
  return { path: [...path, part], keys: attributes ? keys : keys + 1, attributes };
}

class Search {
  readonly tensors: NamedTensor[] = [];
  private readonly seen = new Set<object>();
  private readonly odd = new Map<string, { first: string; count: number }>();
  private inOptimizer = 0;
  private tooDeep = false;

  constructor(
    private readonly file: string,
    private readonly allowance: Allowance,
  ) {}

  remarks(): string[] {
    const remarks = [...this.odd].map(
      ([what, { first, count }]) => `${count} ${what} ${count > 1 ? 'tensors are' : 'tensor is'} left out (${first}).`,
    );
    if (this.inOptimizer) remarks.push(`The state of an optimizer (${this.inOptimizer} tensors) is left out.`);
    if (this.tooDeep) remarks.push(`Content nested deeper than ${MAX_NESTING} levels is left out.`);
    return remarks;
  }

  visit(value: Value, place: Place, depth: number): void {
    if (typeof value !== 'object' || value === null || !('kind' in value)) return;
    if (value.kind === 'global' || value.kind === 'persistent') return;
    if (depth > MAX_NESTING) {
      this.tooDeep = true;
      return;
    }
    if (value.kind === 'call' && this.take(value, place)) return;
    if (this.seen.has(value)) return;
    this.seen.add(value);
    if (value.kind === 'call') this.visitObject(value, place, depth);
    else if (value.kind !== 'dict') this.visitItems(value.items, place, depth);
    else if (isOptimizerState(value.entries)) this.inOptimizer += new Count().of(value, 0);
    else this.visitEntries(value.entries, place, depth);
  }

  private take(call: CallValue, place: Place): boolean {
    const tensor = pickledTensor(call);
    if (!tensor) return false;
    if (tensor.kind === 'odd') {
      const known = this.odd.get(tensor.what);
      if (known) known.count++;
      else this.odd.set(tensor.what, { first: place.path.join('.').slice(0, 200) || 'tensor', count: 1 });
    } else {
      if (this.tensors.length >= MAX_TENSORS)
        throw new RankscopeError('too-large', this.file, `it contains more than ${MAX_TENSORS} tensors`);
      const characters = place.path.reduce((sum, part) => sum + part.length + 8, 0);
      this.allowance.spendTensor(2 * characters, tensor.shape.length);
      this.tensors.push({ path: place.path, keys: place.keys, tensor });
    }
    return true;
  }

  private visitItems(items: readonly Value[], place: Place, depth: number): void {
    for (const [i, item] of items.entries()) this.visit(item, step(place, String(i)), depth + 1);
  }

  private visitEntries(entries: Entries, place: Place, depth: number): void {
    for (const [key, value] of pairsOf(entries)) {
      // These are attributes in which torch.nn.Module keeps its children; names in state dicts omit them.
      const hidden = key === '_parameters' || key === '_buffers' || key === '_modules';
      this.visit(value, hidden ? place : step(place, keyText(key)), depth + 1);
    }
  }

  /** Visits the items, entries and attributes of an object of any class. */
  private visitObject(call: CallValue, place: Place, depth: number): void {
    const { entries, items, state, args } = call;
    if (entries && isOptimizerState(entries)) {
      this.inOptimizer += new Count().of(call, 0);
      return;
    }
    const name = globalName(call.callable) ?? '';
    // Protocols 0 and 1 pass the pairs of an OrderedDict as its argument.
    const pairs = name === 'collections.OrderedDict' ? itemsOf(itemsOf(args)?.[0]) : undefined;
    for (const pair of pairs ?? []) {
      const [key, value] = itemsOf(pair) ?? [];
      if (key !== undefined && value !== undefined) this.visit(value, step(place, keyText(key)), depth + 1);
    }
    if (!pairs) for (const argument of itemsOf(args) ?? []) this.visit(argument, place, depth + 1);
    if (items) this.visitItems(items, place, depth);
    if (entries) this.visitEntries(entries, place, depth);
    // The state may be a pair of the attributes and the slots.
    const parts = itemsOf(state) ?? (state === undefined ? [] : [state]);
    // The attributes of an OrderedDict are metadata (the versions of a state_dict).
    if (name === 'collections.OrderedDict') return;
    for (const part of parts) {
      const attributes = asKind(part, 'dict')?.entries;
      if (attributes) this.visitEntries(attributes, { ...place, attributes: true }, depth);
      else this.visit(part, place, depth + 1);
    }
  }
}

/** Recognizes the state_dict of a torch optimizer by the keys that each has. */
function isOptimizerState(entries: Entries): boolean {
  return hasKeys(entries, 'state', 'param_groups');
}

/** Counts tensors without keeping them. */
class Count {
  private readonly seen = new Set<object>();

  of(value: Value | undefined, depth: number): number {
    if (typeof value !== 'object' || value === null || !('kind' in value) || depth > MAX_NESTING) return 0;
    if (this.seen.has(value)) return 0;
    this.seen.add(value);
    if (value.kind === 'call') {
      if (pickledTensor(value)) return 1;
      return this.all([value.state, ...(value.items ?? []), ...(value.entries ?? [])], depth);
    }
    if (value.kind === 'dict') return this.all(value.entries, depth);
    return 'items' in value ? this.all(value.items, depth) : 0;
  }

  private all(values: Iterable<Value | undefined>, depth: number): number {
    let sum = 0;
    for (const value of values) sum += this.of(value, depth + 1);
    return sum;
  }
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (typeof key === 'object' && key !== null) return '?';
  return String(key);
}
