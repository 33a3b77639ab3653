import { EMPTY, type Field, LEAVES, type ModuleClass, type ModuleExpression } from './moduleCode.ts';
import type { TrieNode } from './tensorTrie.ts';
import type { OwnedField, Universe } from './universe.ts';

/** A class at a node of the checkpoint's names. */
export interface Placement {
  readonly of: ModuleClass;
  readonly node: TrieNode;
}

/** The match of a class with a node and everything below it. */
export interface Fit {
  /** The nodes of the class itself and of the classes in it. */
  readonly placements: readonly Placement[];
  /** Every node that the code explains, except those below modules of unknown content. */
  readonly explained: readonly TrieNode[];
}

/**
 * Matches `of`, and everything it consists of, with the names at `node`. They match if the names are exactly those that
 * the code would create: none is missing and none is unexplained. undefined if they differ.
 */
export function matchClass(universe: Universe, of: ModuleClass, node: TrieNode): Fit | undefined {
  const match = new Match(universe);
  const missing: string[] = [];
  if (!match.class(of, node, '', missing) || missing.length > 0) return undefined;
  return match;
}

/**
 * Fields that a checkpoint must have where the class is. They say where to look for it, and how much a match proves.
 */
export function requiredFields(universe: Universe, of: ModuleClass): OwnedField[] {
  return universe
    .fields(of)
    .filter((field) => !field.optional && isRequired(universe, field.value, field.owner, new Set([of])));
}

function isRequired(universe: Universe, value: ModuleExpression, owner: ModuleClass, seen: Set<ModuleClass>): boolean {
  switch (value.kind) {
    case 'parameter':
      return true;
    case 'list':
      return value.items.some((item) => isRequired(universe, item, owner, seen));
    case 'dict':
      return value.entries.some((entry) => isRequired(universe, entry.value, owner, seen));
    case 'either':
      return value.options.every((option) => isRequired(universe, option, owner, seen));
    case 'call': {
      const known = universe.find(value.callee, owner);
      if (!known) return value.callee in LEAVES;
      if (seen.has(known)) return false;
      const inner = new Set([...seen, known]);
      return (
        universe.isLeaf(known) ||
        universe.fields(known).some((field) => !field.optional && isRequired(universe, field.value, field.owner, inner))
      );
    }
    default:
      return false;
  }
}

/** Deeper nesting means that a class contains itself. */
const DEPTH_LIMIT = 30;

class Match implements Fit {
  readonly placements: Placement[] = [];
  readonly explained: TrieNode[] = [];
  private depth = 0;

  constructor(private readonly universe: Universe) {}

  /**
   * Whether `of` fits `node`. Missing names are collected in `missing`, as paths from the class where the match began.
   */
  class(of: ModuleClass, node: TrieNode | undefined, path: string, missing: string[]): boolean {
    if (this.depth > DEPTH_LIMIT) return false;
    this.depth++;
    try {
      const lacking: string[] = [];
      const leaf = this.universe.isLeaf(of);
      if (leaf && !(node && isLeafNode(node, false))) return node === undefined && missing.push(path) > 0;
      const fields = this.universe.fields(of);
      for (const field of fields) if (!this.field(field, field.owner, node, path, lacking)) return false;
      const explained = new Set(fields.map(({ name }) => name));
      const open = leaf || this.universe.isOpen(of);
      if (!open && node && [...node.children.keys()].some((key) => !explained.has(key))) return false;
      const tied = this.universe.tied(of).map((tail) => join(path, tail));
      missing.push(...lacking.filter((name) => !tied.includes(name)));
      if (node) for (const one of this.universe.lineage(of)) this.placements.push({ of: one, node });
      return true;
    } finally {
      this.depth--;
    }
  }

  private field(
    field: Field,
    owner: ModuleClass,
    parent: TrieNode | undefined,
    path: string,
    missing: string[],
  ): boolean {
    const node = parent?.children.get(field.name);
    if (!node && field.optional) return true;
    return this.value(field.value, owner, node, join(path, field.name), missing);
  }

  /** `owner` is the class in whose scope the expression is evaluated. */
  private value(
    value: ModuleExpression,
    owner: ModuleClass,
    node: TrieNode | undefined,
    path: string,
    missing: string[],
  ): boolean {
    if (node && value.kind !== 'unknown') this.explained.push(node);
    switch (value.kind) {
      case 'unknown':
        return true;
      case 'parameter':
        return node ? node.shape !== undefined && node.children.size === 0 : missing.push(path) > 0;
      case 'either':
        return value.options.some((option) => this.attempt(option, owner, node, path, missing));
      case 'dict':
        if (node && [...node.children.keys()].some((key) => !value.entries.some(({ name }) => name === key)))
          return false;
        return value.entries.every((entry) => this.field(entry, owner, node, path, missing));
      case 'list':
        return this.list(value, owner, node, path, missing);
      case 'call':
        return this.call(value, owner, node, path, missing);
    }
  }

  private attempt(
    value: ModuleExpression,
    owner: ModuleClass,
    node: TrieNode | undefined,
    path: string,
    missing: string[],
  ): boolean {
    const placed = this.placements.length;
    const explained = this.explained.length;
    const lacking: string[] = [];
    if (this.value(value, owner, node, path, lacking) && (lacking.length === 0 || !node)) {
      missing.push(...lacking);
      return true;
    }
    this.placements.length = placed;
    this.explained.length = explained;
    return false;
  }

  private list(
    { items, repeated }: ModuleExpression & { kind: 'list' },
    owner: ModuleClass,
    node: TrieNode | undefined,
    path: string,
    missing: string[],
  ): boolean {
    if (repeated) {
      const item = items[0];
      if (!node || !item) return true;
      return [...node.children].every(
        ([key, child]) => /^\d+$/.test(key) && this.value(item, owner, child, join(path, key), missing),
      );
    }
    if (node && [...node.children.keys()].some((key) => !(Number(key) < items.length))) return false;
    return items.every((item, index) =>
      this.value(item, owner, node?.children.get(String(index)), join(path, String(index)), missing),
    );
  }

  private call(
    { callee, sizes }: ModuleExpression & { kind: 'call' },
    owner: ModuleClass,
    node: TrieNode | undefined,
    path: string,
    missing: string[],
  ): boolean {
    const known = this.universe.find(callee, owner);
    if (known) return this.class(known, node, path, missing);
    if (EMPTY.has(callee)) return node === undefined;
    const order = LEAVES[callee];
    if (order === undefined) {
      if (node) this.explained.pop();
      return true;
    }
    if (!node) return missing.push(path) > 0;
    return isLeafNode(node, true) && hasSizes(node.children.get('weight')?.shape, order, sizes);
  }
}

/** Whether the tensors of a module are its direct children; `plain` forbids anything below them. */
function isLeafNode(node: TrieNode, plain: boolean): boolean {
  if (!node.children.has('weight')) return false;
  return !plain || [...node.children.values()].every((child) => child.children.size === 0);
}

/** Whether sizes written as numbers in the code agree with the tensor. */
function hasSizes(
  shape: readonly number[] | undefined,
  order: 'out-in' | 'as-given' | 'free',
  sizes: readonly (number | null)[],
): boolean {
  if (order === 'free' || shape?.length !== 2) return true;
  const expected = order === 'out-in' ? [sizes[1], sizes[0]] : [sizes[0], sizes[1]];
  return expected.every((size, index) => size === undefined || size === null || size === shape[index]);
}

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
