/** A component of the dotted names of a checkpoint. */
export interface TrieNode {
  readonly key: string;
  readonly parent: TrieNode | null;
  readonly children: Map<string, TrieNode>;
  /** Shape of the tensor with exactly this name. */
  shape: readonly number[] | undefined;
  /** Number of tensors at and below this node. */
  tensors: number;
}

/** The tensor names of a checkpoint as a tree of modules. */
export class TensorTrie {
  readonly root: TrieNode = newNode('', null);
  private readonly byKey = new Map<string, TrieNode[]>();

  constructor(tensors: Iterable<{ readonly name: string; readonly shape: readonly number[] }>) {
    for (const { name, shape } of tensors) {
      let node = this.root;
      node.tensors++;
      for (const part of name.split('.')) {
        node = node.children.get(part) ?? this.add(node, part);
        node.tensors++;
      }
      node.shape = shape;
    }
  }

  /** All nodes whose last component is `key`. */
  withKey(key: string): readonly TrieNode[] {
    return this.byKey.get(key) ?? [];
  }

  private add(parent: TrieNode, key: string): TrieNode {
    const node = newNode(key, parent);
    parent.children.set(key, node);
    const others = this.byKey.get(key);
    if (others) others.push(node);
    else this.byKey.set(key, [node]);
    return node;
  }
}

/** One step of a path: a name, an index (from the end if negative), or every child. */
export type Step = string | number;
export const EVERY: Step = '*';

/** The nodes that `path` leads to from `start`. */
export function walk(start: TrieNode, path: readonly Step[]): TrieNode[] {
  let nodes = [start];
  for (const step of path) nodes = nodes.flatMap((node) => stepInto(node, step));
  return nodes;
}

/** The full dotted name of a node. */
export function nameOf(node: TrieNode): string {
  const parts: string[] = [];
  for (let at: TrieNode | null = node; at?.parent; at = at.parent) parts.push(at.key);
  return parts.reverse().join('.');
}

function stepInto(node: TrieNode, step: Step): TrieNode[] {
  if (step === EVERY) return [...node.children.values()];
  const key = typeof step === 'number' && step < 0 ? String(node.children.size + step) : String(step);
  const child = node.children.get(key);
  return child ? [child] : [];
}

// A Map and not an object, because a tensor may be called __proto__.
function newNode(key: string, parent: TrieNode | null): TrieNode {
  return { key, parent, children: new Map(), shape: undefined, tensors: 0 };
}
