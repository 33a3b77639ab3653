import type { ModuleClass } from './moduleCode.ts';
import type { ClassPlace } from './placeClasses.ts';
import type { Target } from './pythonTarget.ts';
import { nameOf, type Step, type TensorTrie, type TrieNode, walk } from './tensorTrie.ts';
import type { Universe } from './universe.ts';

/** The names that targets are resolved against. */
export interface CheckpointNames {
  readonly trie: TensorTrie;
  /** Modules that contain a matrix: the names of their tensors without `.weight`. */
  readonly modules: readonly string[];
}

/** The code around a target: the class that encloses its line, and where that class is in the checkpoint. */
export interface CodeAround {
  readonly universe: Universe;
  readonly enclosing: ModuleClass | undefined;
  readonly place: ClassPlace | undefined;
}

/** The modules that a target names, as nodes of the checkpoint; empty unless certain. */
export function resolveTarget(target: Target, names: CheckpointNames, code?: CodeAround): TrieNode[] {
  switch (target.kind) {
    case 'path':
      return resolvePath(target.base, target.steps, names.trie, code);
    case 'name':
      return resolveName(target.text, names.trie);
    case 'selector':
      return selectorMatches(target.text, names.modules).flatMap((name) => walk(names.trie.root, name.split('.')));
  }
}

function resolvePath(base: string, steps: readonly Step[], trie: TensorTrie, code: CodeAround | undefined): TrieNode[] {
  const enclosing = base === 'self' ? code?.enclosing : undefined;
  if (enclosing && code) {
    if (code.place) return [...code.place.nodes].flatMap((node) => walk(node, steps));
    // The class has this attribute but is not in the checkpoint, so the attribute's name proves nothing.
    if (code.universe.fields(enclosing).some(({ name }) => name === steps[0])) return [];
  }
  return byIndexedName(steps, trie);
}

/** A path from an unknown variable is certain enough if it contains an index: `model.layers[3].mlp.down_proj`. */
function byIndexedName(steps: readonly Step[], trie: TensorTrie): TrieNode[] {
  const hasIndex = steps.some((step) => typeof step === 'number');
  if (!hasIndex) return [];
  // The first attributes may lead to the model, as in `self.model.layers[3]` of a trainer.
  for (let skip = 0; skip < steps.length; skip++) {
    const rest = steps.slice(skip);
    if (typeof rest[0] === 'number' || !rest.some((step) => typeof step === 'number')) break;
    const absolute = walk(trie.root, rest);
    if (absolute.length > 0) return absolute;
    const anywhere = rest.length < 3 ? [] : under(trie, rest);
    if (anywhere.length > 0) return anywhere;
  }
  return [];
}

/** `rest` under any prefix. */
function under(trie: TensorTrie, rest: readonly Step[]): TrieNode[] {
  return trie.withKey(String(rest[0])).flatMap((node) => walk(node, rest.slice(1)));
}

/** A name resolves if it is complete, or if it is the end of names and contains an index. */
function resolveName(text: string, trie: TensorTrie): TrieNode[] {
  const parts = text.split('.');
  if (parts.length < 2 || parts.some((part) => part === '' || /\s/.test(part))) return [];
  const absolute = walk(trie.root, parts);
  if (absolute.length > 0) return absolute;
  const certain = parts.length >= 3 && parts[0] !== '*' && parts.some((part) => part === '*' || /^\d+$/.test(part));
  return certain ? under(trie, parts) : [];
}

/** The matrices at or below the nodes, in their order and without duplicates. */
export function matricesUnder<M extends { readonly name: string }>(
  nodes: readonly TrieNode[],
  matrices: readonly M[],
): M[] {
  const names = new Set(nodes.map(nameOf));
  return matrices.filter(({ name }) => {
    for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
      if (names.has(name.slice(0, end))) return true;
    }
    return false;
  });
}

/** Other regular expressions are ignored: a hostile pattern could take forever to match. */
const SIMPLE = /^(?:[\w\\.|]|\.\*|\.\+|\[[\w-]+\]|\\d\+?|\\w\+?|\(\?:|[()^$])*$/;
const META = /[\\^$*+?()[\]{}|]/;

/**
 * The modules that `selector` selects in PEFT, as an entry of `target_modules` or a key of `rank_pattern`: those with
 * this name and those whose name ends in a dot and this name. A regular expression must match the whole name, or its
 * end after a dot.
 */
function selectorMatches(selector: string, modules: readonly string[]): string[] {
  if (selector === '' || selector.length > 200) return [];
  if (!META.test(selector)) return modules.filter((name) => name === selector || name.endsWith(`.${selector}`));
  if (!SIMPLE.test(selector) || (selector.match(/[*+]/g) ?? []).length > 3) return [];
  try {
    const pattern = new RegExp(`^(?:.*\\.)?(?:${selector})$`);
    return modules.filter((name) => name.length < 300 && pattern.test(name));
  } catch {
    return [];
  }
}
