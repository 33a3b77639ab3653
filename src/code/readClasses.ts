import type { Node } from 'web-tree-sitter';
import { type Field, type ModuleClass, type ModuleExpression, UNKNOWN } from './moduleCode.ts';
import { argumentsOf, type Locals, lastName, plainString, readExpression, spanOf } from './readExpression.ts';

/** The classes of a Python file, with the modules that their methods assign to `self`. */
export function readClasses(root: Node): ModuleClass[] {
  const mentions = mentionCounts(root.text);
  return root.descendantsOfType('class_definition').map((node) => readClass(node, mentions));
}

/** How often each capitalized name occurs in a text, other than in quotes and class headers. */
function mentionCounts(text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (/^\s*(?:class\s|#)/.test(line)) continue;
    for (const [name] of line.matchAll(/(?<![\w"'`])[A-Z]\w*(?![\w"'`])/g))
      counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/**
 * An imported name: `from .attention import Attention as A` gives { local: A, module: .attention, name: Attention }.
 */
export interface ImportedName {
  readonly local: string;
  readonly module: string;
  readonly name: string;
}

export function readImports(root: Node): ImportedName[] {
  return root.descendantsOfType('import_from_statement').flatMap((statement) => {
    const module = statement.childForFieldName('module_name');
    return statement.childrenForFieldName('name').map((name) => ({
      local: (name.childForFieldName('alias') ?? name).text,
      module: module?.text ?? '',
      name: (name.childForFieldName('name') ?? name).text,
    }));
  });
}

/** What has been found in the methods of a class so far. */
interface Gathered {
  readonly fields: Map<string, Field>;
  readonly tied: string[];
  dynamic: boolean;
}

function readClass(node: Node, mentions: ReadonlyMap<string, number>): ModuleClass {
  const gathered: Gathered = { fields: new Map(), tied: [], dynamic: false };
  for (const member of node.childForFieldName('body')?.namedChildren ?? []) {
    const inner = member.type === 'decorated_definition' ? member.childForFieldName('definition') : member;
    if (inner?.type === 'function_definition') readBlock(inner.childForFieldName('body'), gathered, new Map(), false);
    else if (member.text.startsWith('_tied_weights_keys')) gathered.tied.push(...tiedKeys(member));
  }
  const name = node.childForFieldName('name');
  return {
    name: name?.text ?? '',
    span: spanOf(name ?? node),
    lines: [node.startPosition.row, node.endPosition.row],
    bases: (node.childForFieldName('superclasses')?.namedChildren ?? [])
      .filter(({ type }) => type !== 'keyword_argument')
      .map((base) => lastName(base.type === 'subscript' ? base.childForFieldName('value') : base)),
    fields: [...gathered.fields.values()],
    dynamic: gathered.dynamic,
    mentioned: mentions.has(name?.text ?? ''),
    tied: gathered.tied,
  };
}

function readBlock(block: Node | null, into: Gathered, locals: Locals, optional: boolean): void {
  for (const statement of block?.namedChildren ?? []) readStatement(statement, into, locals, optional);
}

function readStatement(node: Node, into: Gathered, locals: Locals, optional: boolean): void {
  switch (node.type) {
    case 'expression_statement': {
      const inner = node.namedChild(0);
      if (inner?.type === 'assignment') readAssignment(inner, into, locals, optional);
      else if (inner?.type === 'augmented_assignment') append(inner.childForFieldName('left'), undefined, into, locals);
      else if (inner?.type === 'call') readStatementCall(inner, into, locals, optional);
      return;
    }
    case 'for_statement':
    case 'while_statement':
    case 'with_statement':
      readBlock(node.childForFieldName('body'), into, locals, optional);
      return;
    case 'if_statement':
    case 'elif_clause':
    case 'else_clause':
    case 'try_statement':
    case 'except_clause':
    case 'finally_clause':
      // A branch may not be taken.
      for (const child of node.namedChildren) {
        if (child.type === 'block') readBlock(child, into, locals, true);
        else readStatement(child, into, locals, true);
      }
      return;
    default:
  }
}

function readAssignment(node: Node, into: Gathered, locals: Locals, optional: boolean): void {
  const left = node.childForFieldName('left');
  const right = node.childForFieldName('right');
  if (!left || !right) return;
  if (left.type === 'identifier') {
    const made = readExpression(right, locals);
    if (made) locals.set(left.text, made);
    return;
  }
  const path = selfPath(left);
  if (path?.length === 1 && left.type === 'attribute') {
    const made = readExpression(right, locals);
    const attribute = left.childForFieldName('attribute');
    if (made && attribute) addField(into, { name: path[0]!, span: spanOf(attribute), value: made, optional });
  } else if (path?.at(-1) === 'weight') {
    // Two names for one matrix: a checkpoint may contain either.
    const other = selfPath(right);
    into.tied.push(
      path.slice(0, -1).join('.'),
      ...(other ? [other.filter((part) => part !== 'weight').join('.')] : []),
    );
  }
}

function readStatementCall(node: Node, into: Gathered, locals: Locals, optional: boolean): void {
  const callee = node.childForFieldName('function');
  const [first, second] = argumentsOf(node);
  if (callee?.type === 'identifier' && callee.text === 'setattr') into.dynamic = true;
  if (callee?.type !== 'attribute') return;
  const method = callee.childForFieldName('attribute')?.text ?? '';
  const object = callee.childForFieldName('object');
  if (['append', 'extend', 'insert'].includes(method)) {
    append(object, method === 'append' ? first : undefined, into, locals);
  }
  if (object?.text !== 'self') return;
  if (['add_module', 'register_module', 'register_parameter', 'register_buffer'].includes(method)) {
    const name = plainString(first ?? null);
    if (name === undefined || !first) into.dynamic = true;
    else if (method === 'register_buffer')
      addField(into, { name, span: spanOf(first), value: UNKNOWN, optional: true });
    else {
      const value =
        method === 'register_parameter' ? ({ kind: 'parameter' } as const) : second && readExpression(second, locals);
      addField(into, { name, span: spanOf(first), value: value ?? UNKNOWN, optional });
    }
  }
}

/**
 * `self.layers.append(Block())`, or the same on a local list. Without `item`, the content of the list becomes unknown.
 */
function append(list: Node | null, item: Node | undefined, into: Gathered, locals: Locals): void {
  const made = item ? (readExpression(item, locals) ?? UNKNOWN) : UNKNOWN;
  const grown = (before: ModuleExpression | undefined): ModuleExpression => {
    if (before?.kind !== 'list' || made === UNKNOWN) return UNKNOWN;
    // One append in a loop adds many items, so a list that is appended to counts as repeated.
    if (before.items.length === 0) return { kind: 'list', items: [made], repeated: true };
    const options = [...before.items, made];
    return { kind: 'list', items: [{ kind: 'either', options }], repeated: true };
  };
  const path = list ? selfPath(list) : undefined;
  if (list?.type === 'identifier') locals.set(list.text, grown(locals.get(list.text)));
  if (path?.length !== 1) return;
  const field = into.fields.get(path[0]!);
  if (field) into.fields.set(field.name, { ...field, value: grown(field.value) });
}

/** Adds a field. A second assignment makes the value either of the two. */
function addField(into: Gathered, field: Field): void {
  const before = into.fields.get(field.name);
  if (!before) {
    into.fields.set(field.name, field);
    return;
  }
  const value: ModuleExpression = { kind: 'either', options: [before.value, field.value] };
  into.fields.set(field.name, { ...before, value, optional: before.optional && field.optional });
}

/** The names after `self` in `self.a.b`; undefined for any other expression. */
function selfPath(node: Node): string[] | undefined {
  if (node.type === 'identifier') return node.text === 'self' ? [] : undefined;
  if (node.type !== 'attribute') return undefined;
  const object = node.childForFieldName('object');
  const before = object ? selfPath(object) : undefined;
  return before && [...before, node.childForFieldName('attribute')?.text ?? ''];
}

function tiedKeys(member: Node): string[] {
  return member
    .descendantsOfType('string')
    .map((node) => plainString(node))
    .filter((text) => text !== undefined)
    .map((text) => text.replace(/\.weight$/, ''));
}
