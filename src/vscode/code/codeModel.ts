import type { Tree } from 'web-tree-sitter';
import type { ModuleClass } from './moduleCode.ts';
import type { PythonParser, TextEdit } from './pythonParser.ts';
import { readClasses } from './readClasses.ts';
import { Universe } from './universe.ts';

/** A text as it is at one version. */
export interface SourceText {
  readonly key: string;
  readonly version: number;
  readonly text: string;
}

export interface ParsedText {
  readonly version: number;
  readonly tree: Tree;
  readonly classes: readonly ModuleClass[];
  readonly length: number;
}

/** Trees are kept for so many characters of text: some dozen files, or a large notebook. */
const KEPT_CHARACTERS = 2_000_000;
const KEPT_UNIVERSES = 16;

/** The parsed state of texts, brought up to date by their edits, and the universes that they form. */
export class CodeModel {
  private readonly texts = new Map<string, ParsedText & { readonly edited: number }>();
  private universes = new Map<string, { readonly of: readonly ParsedText[]; readonly universe: Universe }>();

  constructor(private readonly parser: PythonParser) {}

  parse({ key, version, text }: SourceText): ParsedText {
    const known = this.texts.get(key);
    if (known?.version === version) {
      // The one asked for last is dropped last.
      this.texts.delete(key);
      this.texts.set(key, known);
      return known;
    }
    // A tree whose edits were all seen is a start; any other would give a wrong tree.
    const tree = this.parser(text, known?.edited === version ? known.tree : undefined);
    known?.tree.delete();
    const parsed = { version, edited: version, tree, classes: readClasses(tree.rootNode), length: text.length };
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

  /** Notes the edits that lead to `version`, in the order in which they are to be applied. */
  edit(key: string, version: number, edits: readonly TextEdit[]): void {
    const known = this.texts.get(key);
    if (!known) return;
    for (const edit of edits) known.tree.edit(edit as Parameters<Tree['edit']>[0]);
    this.texts.set(key, { ...known, version: Number.NaN, edited: known.edited + 1 === version ? version : Number.NaN });
  }

  /** The classes of several texts together, such as the cells of a notebook, in their order. */
  universe(parsed: readonly ParsedText[], key: string): Universe {
    const known = this.universes.get(key);
    if (known?.of.length === parsed.length && known.of.every((one, index) => one.classes === parsed[index]?.classes)) {
      return known.universe;
    }
    const universe = new Universe(parsed.flatMap(({ classes }) => classes));
    this.universes.delete(key);
    this.universes.set(key, { of: parsed, universe });
    if (this.universes.size > KEPT_UNIVERSES) this.universes = new Map([...this.universes].slice(1));
    return universe;
  }

  drop(key: string): void {
    this.texts.get(key)?.tree.delete();
    this.texts.delete(key);
    this.universes.delete(key);
  }
}

/** The innermost class around a line. */
export function enclosingClass(classes: readonly ModuleClass[], row: number): ModuleClass | undefined {
  return classes.filter(({ lines: [first, last] }) => first <= row && row <= last).at(-1);
}
