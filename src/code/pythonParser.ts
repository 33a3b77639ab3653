import { Language, Parser, type Tree } from 'web-tree-sitter';

/** Paths of the two WASM files. */
export interface GrammarFiles {
  readonly runtime: string;
  readonly python: string;
}

/** A change of a text in the terms of the parser: UTF-16 offsets, and lines with columns. */
export interface TextEdit {
  readonly startIndex: number;
  readonly oldEndIndex: number;
  readonly newEndIndex: number;
  readonly startPosition: { row: number; column: number };
  readonly oldEndPosition: { row: number; column: number };
  readonly newEndPosition: { row: number; column: number };
}

/** Parses Python; with the edited old tree, only what changed. */
export type PythonParser = (text: string, old?: Tree) => Tree;

/** Loads the grammar, which takes 20 ms. */
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
