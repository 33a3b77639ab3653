import type { Node } from 'web-tree-sitter';
import { EMPTY, type Field, LEAVES, type ModuleExpression, type Span, UNKNOWN } from './moduleCode.ts';

/** Values of a function's local variables so far. */
export type Locals = Map<string, ModuleExpression>;

/** Methods that return the module they are called on. */
const FLUENT = new Set(['to', 'cuda', 'cpu', 'half', 'float', 'bfloat16', 'double', 'eval', 'train', 'requires_grad_']);
const LISTS = new Set(['ModuleList', 'Sequential']);

/**
 * The module that an expression evaluates to; undefined if it certainly is no module, like a number, a string or a
 * function.
 */
export function readExpression(node: Node, locals: Locals): ModuleExpression | undefined {
  switch (node.type) {
    case 'call':
      return readCall(node, locals);
    case 'identifier':
      return locals.get(node.text) ?? UNKNOWN;
    case 'conditional_expression':
      return either([node.namedChild(0), node.namedChild(2)], locals);
    case 'parenthesized_expression':
      return node.namedChild(0) ? readExpression(node.namedChild(0)!, locals) : undefined;
    case 'list':
    case 'tuple':
    case 'list_comprehension':
    case 'generator_expression':
    case 'binary_operator':
      return readItems(node, locals);
    case 'integer':
    case 'float':
    case 'string':
    case 'concatenated_string':
    case 'true':
    case 'false':
    case 'none':
    case 'lambda':
    case 'comparison_operator':
    case 'not_operator':
      return undefined;
    default:
      return UNKNOWN;
  }
}

/** The last component of a dotted name; empty for other expressions. */
export function lastName(node: Node | null): string {
  if (node?.type === 'identifier') return node.text;
  return node?.type === 'attribute' ? (node.childForFieldName('attribute')?.text ?? '') : '';
}

/** The text of a string without its quotes; undefined if parts of it are interpolated. */
export function plainString(node: Node | null): string | undefined {
  if (node?.type !== 'string') return undefined;
  const parts = node.namedChildren.filter((child) => child.type !== 'string_start' && child.type !== 'string_end');
  return parts.every((part) => part.type === 'string_content') ? parts.map((part) => part.text).join('') : undefined;
}

export function spanOf(node: Node): Span {
  const { startPosition: start, endPosition: end } = node;
  return { line: start.row, start: start.column, end: end.row === start.row ? end.column : start.column + 1 };
}

function readCall(node: Node, locals: Locals): ModuleExpression | undefined {
  const callee = node.childForFieldName('function');
  const name = lastName(callee);
  const positional = argumentsOf(node);
  const first = positional[0];
  const object = callee?.type === 'attribute' ? callee.childForFieldName('object') : null;
  if (object?.type === 'call' && FLUENT.has(name)) return readExpression(object, locals);
  if (name === 'Parameter') return { kind: 'parameter' };
  if (LISTS.has(name)) return readList(positional, locals);
  if (name === 'ModuleDict') return first ? readDict(first) : { kind: 'dict', entries: [] };
  if (/clones?$/.test(name) && first) return repeated(readExpression(first, locals) ?? UNKNOWN);
  // With affine parameters possibly switched off, the module may have no tensors.
  if (/affine\s*=\s*(?!True\b)/.test(node.childForFieldName('arguments')?.text ?? '')) return UNKNOWN;
  // Lower-case names are functions, which may return anything and usually no module.
  if (name === '' || !(name in LEAVES || EMPTY.has(name) || /^_*[A-Z]/.test(name))) return UNKNOWN;
  return { kind: 'call', callee: name, sizes: positional.slice(0, 2).map(wholeNumber) };
}

function readList(positional: readonly Node[], locals: Locals): ModuleExpression {
  const [first] = positional;
  if (positional.length === 0) return { kind: 'list', items: [], repeated: false };
  if (positional.length > 1) return plainList(positional, locals);
  if (first?.type === 'call') {
    const name = lastName(first.childForFieldName('function'));
    if (name === 'OrderedDict') return readDict(argumentsOf(first)[0] ?? first);
    if (!/clones?$/.test(name)) return plainList(positional, locals);
  }
  const inner = first?.type === 'list_splat' ? first.namedChild(0) : first;
  const made = inner ? readExpression(inner, locals) : undefined;
  return made?.kind === 'list' || made?.kind === 'unknown' ? made : plainList(positional, locals);
}

function plainList(nodes: readonly Node[], locals: Locals): ModuleExpression {
  if (nodes.some((node) => node.type === 'list_splat')) return UNKNOWN;
  return { kind: 'list', items: nodes.map((node) => readExpression(node, locals) ?? UNKNOWN), repeated: false };
}

/** Python lists of modules, from which ModuleList and Sequential are made. */
function readItems(node: Node, locals: Locals): ModuleExpression {
  if (node.type === 'list' || node.type === 'tuple') return plainList(node.namedChildren, locals);
  if (node.type !== 'binary_operator') {
    const body = node.childForFieldName('body');
    return repeated(body ? (readExpression(body, locals) ?? UNKNOWN) : UNKNOWN);
  }
  const left = node.childForFieldName('left');
  const made = left?.type === 'list' ? plainList(left.namedChildren, locals) : UNKNOWN;
  const times = node.childForFieldName('operator')?.text === '*';
  return times && made.kind === 'list' && made.items.length === 1 ? { ...made, repeated: true } : UNKNOWN;
}

function readDict(node: Node): ModuleExpression {
  const entries: Field[] = [];
  const add = (key: Node | null, name: string | undefined, value: Node | null) => {
    if (!key || name === undefined || !value) return false;
    const made = readExpression(value, new Map());
    if (made) entries.push({ name, span: spanOf(key), value: made, optional: false });
    return true;
  };
  const members =
    node.type === 'call' ? (node.childForFieldName('arguments')?.namedChildren ?? []) : node.namedChildren;
  for (const member of members) {
    if (member.type === 'comment') continue;
    const [key, value] =
      member.type === 'keyword_argument'
        ? [member.childForFieldName('name'), member.childForFieldName('value')]
        : member.type === 'pair'
          ? [member.childForFieldName('key'), member.childForFieldName('value')]
          : [member.namedChild(0), member.namedChild(1)];
    const name = member.type === 'keyword_argument' ? key?.text : plainString(key);
    if (!add(key, name, value)) return UNKNOWN;
  }
  return { kind: 'dict', entries };
}

function either(nodes: readonly (Node | null)[], locals: Locals): ModuleExpression {
  const options = nodes.map((node) => (node ? readExpression(node, locals) : undefined) ?? UNKNOWN);
  return { kind: 'either', options };
}

export const repeated = (item: ModuleExpression): ModuleExpression => ({ kind: 'list', items: [item], repeated: true });

/** The positional arguments of a call. */
export function argumentsOf(call: Node): Node[] {
  const all = call.childForFieldName('arguments')?.namedChildren ?? [];
  return all.filter(({ type }) => type !== 'keyword_argument' && type !== 'comment');
}

function wholeNumber(node: Node): number | null {
  return node.type === 'integer' && /^\d[\d_]*$/.test(node.text) ? Number(node.text.replaceAll('_', '')) : null;
}
