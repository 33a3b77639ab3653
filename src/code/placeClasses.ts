import { type Fit, matchClass, requiredFields } from './matchModules.ts';
import type { ModuleClass } from './moduleCode.ts';
import type { TensorTrie, TrieNode } from './tensorTrie.ts';
import type { Universe } from './universe.ts';

/** Where each class is in a checkpoint. */
export type ClassPlaces = ReadonlyMap<ModuleClass, ClassPlace>;

export interface ClassPlace {
  readonly nodes: ReadonlySet<TrieNode>;
  /**
   * Whether it was found through a class that explains the whole checkpoint, and not by the structure of a part alone.
   */
  readonly whole: boolean;
}

/**
 * Finds the classes in the names of a checkpoint. A class is placed through the largest class that contains it and
 * matches as a whole: `Attention` is where the model says, and a class with the same attributes that the model does not
 * use is nowhere. If two unrelated classes match the same node equally well, neither is placed there.
 */
export function placeClasses(universe: Universe, trie: TensorTrie): ClassPlaces {
  const places = new Map<ModuleClass, { nodes: Set<TrieNode>; whole: boolean }>();
  /** The outermost class through which a class was placed. */
  const through = new Map<ModuleClass, ModuleClass>();
  const claimed = new Set<TrieNode>();
  for (const group of byNode(candidates(universe, trie))) {
    const { node } = group[0]!;
    const fresh = claimed.has(node) ? [] : group.filter(({ of }) => (through.get(of) ?? of) === of);
    if (fresh.length === 0) continue;
    const [first, ...others] = fresh;
    const unique = others.every(({ of }) => universe.areRelated(of, first!.of) || contains(first!, of, node));
    for (const { fit } of fresh) for (const explained of [node, ...fit.explained]) claimed.add(explained);
    if (!unique) continue;
    for (const outer of fresh) {
      for (const { of, node: at } of outer.fit.placements) {
        const known = places.get(of);
        const whole = node.tensors === trie.root.tensors;
        if (known) known.nodes.add(at);
        else places.set(of, { nodes: new Set([at]), whole });
        if (!through.has(of)) through.set(of, outer.of);
      }
    }
  }
  return withoutDoubt(universe, places);
}

/**
 * A class is recognized by its structure alone only if all classes of its file are. If some class of the file is not in
 * the checkpoint, the file is about another model, and a resemblance proves nothing.
 */
function withoutDoubt(universe: Universe, places: ClassPlaces): ClassPlaces {
  const isForeign = (of: ModuleClass) =>
    isTelling(universe, of) && !places.has(of) && ![...places.keys()].some((placed) => universe.areRelated(placed, of));
  if (!universe.classes.some(isForeign)) return places;
  return new Map([...places].filter(([, { whole }]) => whole));
}

/** Whether a class has enough names to prove anything: one with a weight and a bias looks like any Linear. */
const isTelling = (universe: Universe, of: ModuleClass): boolean =>
  requiredFields(universe, of).filter(({ value }) => value.kind !== 'parameter').length >= 2;

interface Candidate {
  readonly of: ModuleClass;
  readonly node: TrieNode;
  readonly fit: Fit;
}

function candidates(universe: Universe, trie: TensorTrie): Candidate[] {
  const found: Candidate[] = [];
  for (const of of universe.classes) {
    if (universe.find(of.name, of) !== of) continue;
    const tied = new Set(universe.tied(of));
    const required = requiredFields(universe, of).filter(({ name }) => !tied.has(name));
    const [first, ...others] = required;
    if (!first) continue;
    // A class used by others is found through them, unless it is the whole checkpoint.
    const telling = isTelling(universe, of);
    const mayBePart = telling && !universe.isUsed(of);
    if (!telling && universe.isOpen(of)) continue;
    for (const child of trie.withKey(first.name)) {
      const node = child.parent;
      if (!node || others.some(({ name }) => !node.children.has(name))) continue;
      if (!mayBePart && node.tensors < trie.root.tensors) continue;
      const fit = matchClass(universe, of, node);
      if (fit) found.push({ of, node, fit });
    }
  }
  return found;
}

/** The candidates grouped by node, nodes with the most tensors first. */
function byNode(all: readonly Candidate[]): Candidate[][] {
  const groups = new Map<TrieNode, Candidate[]>();
  for (const candidate of all) {
    const group = groups.get(candidate.node);
    if (group) group.push(candidate);
    else groups.set(candidate.node, [candidate]);
  }
  return [...groups.values()].sort((a, b) => b[0]!.node.tensors - a[0]!.node.tensors);
}

/** Whether a candidate already places `of` at its own node, for instance as its base class. */
const contains = ({ fit }: Candidate, of: ModuleClass, node: TrieNode): boolean =>
  fit.placements.some((placed) => placed.of === of && placed.node === node);
