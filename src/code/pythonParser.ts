import { Language, Parser, type Tree } from 'web-tree-sitter';

/** Where the two WASM files are. */
export interface GrammarFiles {
  readonly runtime: string;
  readonly python: string;
}

/** A change of a text, in the terms of the parser: UTF-16 offsets, and lines with columns. */
export interface TextEdit {
  readonly startIndex: number;
  readonly oldEndIndex: number;
  readonly newEndIndex: number;
  readonly startPosition: { row: number; column: number };
  readonly oldEndPosition: { row: number; column: number };
  readonly newEndPosition: { row: number; column: number };
}

/** Parses Python; given the old tree with its edits, only what changed. */
export type PythonParser = (text: string, old?: Tree) => Tree;

/** Loads the grammar, once for the life of the extension (20 ms). */
export async function loadPythonParser(files: GrammarFiles): Promise<PythonParser> {
  await Parser.init({ locateFile: () => files.runtime });
  const parser = new Parser();
  parser.setLanguage(await Language.load(files.python));
  return (text, old) => {
    const tree = parser.parse(text, old);
    if (!tree) throw new Error('The Python parser has no language');
    return tree;
  };
}
