import type { ModuleClass } from './moduleCode.ts';
import type { Place } from './placeClasses.ts';
import type { Target } from './pythonTarget.ts';
import { nameOf, type Step, type TensorTrie, type TrieNode, walk } from './tensorTrie.ts';
import type { Universe } from './universe.ts';

/** Everything a target is resolved against. */
export interface CheckpointNames {
  readonly trie: TensorTrie;
  /** Names of the modules that hold a matrix: its tensor's name without `.weight`. */
  readonly modules: readonly string[];
}

/** The code around a target: the class that encloses its line, and where that lies in the checkpoint. */
export interface CodeAround {
  readonly universe: Universe;
  readonly enclosing: ModuleClass | undefined;
  readonly place: Place | undefined;
}

/** The modules a target names, as nodes of the checkpoint; empty where that is not certain. */
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
    // The class has this attribute and does not lie in the checkpoint: its name alone proves nothing.
    if (code.universe.fields(enclosing).some(({ name }) => name === steps[0])) return [];
  }
  return byIndexedName(steps, trie);
}

/** A path from an unknown variable is certain enough where it goes through an index: `model.layers[3].mlp.down_proj`. */
function byIndexedName(steps: readonly Step[], trie: TensorTrie): TrieNode[] {
  const hasIndex = steps.some((step) => typeof step === 'number');
  if (!hasIndex) return [];
  // The first attributes may only lead to the model: `self.model.layers[3]` of a trainer.
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

/** A name counts where it is a whole one, or where its end goes through an index and is found as it is. */
function resolveName(text: string, trie: TensorTrie): TrieNode[] {
  const parts = text.split('.');
  if (parts.length < 2 || parts.some((part) => part === '' || /\s/.test(part))) return [];
  const absolute = walk(trie.root, parts);
  if (absolute.length > 0) return absolute;
  const certain = parts.length >= 3 && parts[0] !== '*' && parts.some((part) => part === '*' || /^\d+$/.test(part));
  return certain ? under(trie, parts) : [];
}

/** The names of the matrices at or below the nodes, in the order of `matrices`, each once. */
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

/** How PEFT selects modules by the entries of `target_modules` and the keys of `rank_pattern`. */

/** Regular expressions beyond these parts could take for ever on a hostile pattern; they are left alone. */
const SIMPLE = /^(?:[\w\\.|]|\.\*|\.\+|\[[\w-]+\]|\\d\+?|\\w\+?|\(\?:|[()^$])*$/;
const META = /[\\^$*+?()[\]{}|]/;

/**
 * The modules that `selector` means: those of this name and those whose name ends in it after a dot. A regular expression must
 * match the whole name, or its end after a dot, as in the keys of a pattern.
 */
export function selectorMatches(selector: string, modules: readonly string[]): string[] {
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
