import type { Tree } from 'web-tree-sitter';
import type { ModuleClass } from './moduleCode.ts';
import type { PythonParser, TextEdit } from './pythonParser.ts';
import { type ImportedName, readClasses, readImports } from './readClasses.ts';

/** One version of a text. */
export interface SourceText {
  readonly key: string;
  readonly version: number;
  readonly text: string;
}

export interface ParsedText {
  readonly version: number;
  readonly tree: Tree;
  readonly classes: readonly ModuleClass[];
  readonly imports: readonly ImportedName[];
  readonly length: number;
}

/** Characters of text whose trees are kept: a few dozen files, or a large notebook. */
const KEPT_CHARACTERS = 2_000_000;

/** Parsed texts, updated incrementally by their edits. */
export class CodeModel {
  private readonly texts = new Map<string, ParsedText & { readonly edited: number }>();

  constructor(private readonly parser: PythonParser) {}

  parse({ key, version, text }: SourceText): ParsedText {
    const known = this.texts.get(key);
    if (known?.version === version) {
      // Moved to the end: the least recently used text is dropped first.
      this.texts.delete(key);
      this.texts.set(key, known);
      return known;
    }
    // Incremental parsing needs a tree that has seen every edit; with any other the result would be wrong.
    const tree = this.parser(text, known?.edited === version ? known.tree : undefined);
    known?.tree.delete();
    const { rootNode } = tree;
    const parsed = {
      version,
      edited: version,
      tree,
      classes: readClasses(rootNode),
      imports: readImports(rootNode),
      length: text.length,
    };
    this.texts.delete(key);
    this.texts.set(key, parsed);
    let kept = [...this.texts.values()].reduce((sum, { length }) => sum + length, 0);
    for (const [oldest, { length }] of this.texts) {
      if (kept <= KEPT_CHARACTERS || oldest === key) break;
      kept -= length;
      this.drop(oldest);
    }
    return parsed;
  }

  /** Applies the edits that lead to `version`, in order. */
  edit(key: string, version: number, edits: readonly TextEdit[]): void {
    const known = this.texts.get(key);
    if (!known) return;
    for (const edit of edits) known.tree.edit(edit as Parameters<Tree['edit']>[0]);
    this.texts.set(key, { ...known, version: Number.NaN, edited: known.edited + 1 === version ? version : Number.NaN });
  }

  drop(key: string): void {
    this.texts.get(key)?.tree.delete();
    this.texts.delete(key);
  }
}

/** The innermost class that contains a line. */
export function enclosingClass(classes: readonly ModuleClass[], row: number): ModuleClass | undefined {
  return classes.filter(({ lines: [first, last] }) => first <= row && row <= last).at(-1);
}
