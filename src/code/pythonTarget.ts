import type { Node, Tree } from 'web-tree-sitter';
import type { Span } from './moduleCode.ts';
import { lastName, spanOf } from './readExpression.ts';
import { EVERY, type Step } from './tensorTrie.ts';

/** What the pointer is on in code, before it is resolved in a checkpoint. */
export type Target =
  /** `self.layers[3].mlp`: a path of attributes from a variable. `line` tells the enclosing class. */
  | {
      readonly kind: 'path';
      readonly base: string;
      readonly steps: readonly Step[];
      readonly line: number;
      readonly span: Span;
    }
  /** A string that may name a tensor or a module; `*` replaces interpolated parts. */
  | { readonly kind: 'name'; readonly text: string; readonly span: Span }
  /** An entry of `target_modules`, or a key of `rank_pattern` and the like. */
  | { readonly kind: 'selector'; readonly text: string; readonly span: Span };

/** Keyword arguments and keys whose strings select modules in PEFT. */
export const SELECTOR_KEYS: ReadonlySet<string> = new Set([
  'target_modules',
  'modules_to_save',
  'exclude_modules',
  'rank_pattern',
  'alpha_pattern',
]);

/** Longer strings are not names of tensors. */
const NAME_LIMIT = 300;

/** The target at a position in a Python file; undefined if it cannot be a layer. */
export function pythonTarget(tree: Tree, row: number, column: number): Target | undefined {
  const node = tree.rootNode.descendantForPosition({ row, column });
  if (!node) return undefined;
  if (node.type === 'identifier') return pathTarget(node);
  return stringTarget(node);
}

function pathTarget(node: Node): Target | undefined {
  const parent = node.parent;
  if (parent?.type === 'keyword_argument' && parent.childForFieldName('name')?.id === node.id) {
    // `wte` in self.transformer = nn.ModuleDict(dict(wte=nn.Embedding(...))).
    return dictEntry(parent, node.text, node);
  }
  if (parent?.type !== 'attribute' || parent.childForFieldName('attribute')?.id !== node.id) return undefined;
  const path = flatten(parent);
  return path && { kind: 'path', ...path, line: node.startPosition.row, span: spanOf(node) };
}

/** The variable and the steps of `self.layers[3].mlp`; undefined if a call or anything else is in between. */
function flatten(node: Node): { base: string; steps: Step[] } | undefined {
  if (node.type === 'identifier') return { base: node.text, steps: [] };
  if (node.type !== 'attribute' && node.type !== 'subscript') return undefined;
  const object = node.childForFieldName(node.type === 'attribute' ? 'object' : 'value');
  const before = object ? flatten(object) : undefined;
  if (!before) return undefined;
  const step = node.type === 'attribute' ? node.childForFieldName('attribute')?.text : indexOf(node);
  return step === undefined ? undefined : { base: before.base, steps: [...before.steps, step] };
}

function indexOf(node: Node): Step | undefined {
  const index = node.childForFieldName('subscript');
  if (!index) return undefined;
  if (/^-?\d+$/.test(index.text)) return Number(index.text);
  if (index.type === 'string') return /^(['"])(\w+)\1$/.exec(index.text)?.[2];
  // A slice or a variable may mean any of them.
  return EVERY;
}

function stringTarget(node: Node): Target | undefined {
  const string = node.type === 'string' ? node : node.parent;
  if (string?.type !== 'string' || string.text.length > NAME_LIMIT) return undefined;
  const pieces = string.namedChildren.filter(({ type }) => type !== 'string_start' && type !== 'string_end');
  const text = pieces.map((piece) => (piece.type === 'interpolation' ? EVERY : piece.text)).join('');
  const span = spanOf(string);
  const parent = string.parent;
  if (parent?.type === 'pair' && parent.childForFieldName('key')?.id === string.id) {
    const entry = dictEntry(parent, text, string);
    if (entry) return entry;
  }
  return { kind: isSelector(string) ? 'selector' : 'name', text, span };
}

/** The entry `name` of a dictionary that is assigned to an attribute of self. */
function dictEntry(entry: Node, name: string, at: Node): Target | undefined {
  let node = entry.parent;
  while (node && ['argument_list', 'call', 'dictionary'].includes(node.type)) node = node.parent;
  const left = node?.type === 'assignment' ? node.childForFieldName('left') : null;
  const path = left ? flatten(left) : undefined;
  if (path?.base !== 'self') return undefined;
  return { kind: 'path', base: 'self', steps: [...path.steps, name], line: at.startPosition.row, span: spanOf(at) };
}

/**
 * Whether a string is in the value of `target_modules`, or a key of `rank_pattern`, in a call, a dict or an assignment.
 */
function isSelector(string: Node): boolean {
  let node: Node | null = string.parent;
  // A key selects; what it is mapped to does not.
  if (node?.type === 'pair' && node.childForFieldName('key')?.id !== string.id && SELECTOR_KEYS.has(keyOf(node))) {
    return true;
  }
  for (; node; node = node.parent) {
    if (SELECTOR_KEYS.has(keyOf(node))) return true;
    if (!['list', 'tuple', 'set', 'dictionary', 'pair', 'parenthesized_expression'].includes(node.type)) return false;
  }
  return false;
}

function keyOf(node: Node): string {
  switch (node.type) {
    case 'keyword_argument':
      return node.childForFieldName('name')?.text ?? '';
    case 'pair':
      return node.childForFieldName('key')?.text.replaceAll(/['"]/g, '') ?? '';
    case 'assignment':
      return lastName(node.childForFieldName('left'));
    default:
      return '';
  }
}
