import type { CodeModel, ParsedText, SourceText } from './codeModel.ts';
import type { ModuleClass } from './moduleCode.ts';
import type { ImportedName } from './readClasses.ts';
import { type ModuleScope, Universe } from './universe.ts';

/** A text with the cells of its notebook and the files it imports. */
export interface CodeText {
  readonly language: string;
  readonly source: SourceText;
  /** The texts that form one Python module with it: the cells of a notebook, or the text alone. */
  readonly cells: readonly SourceText[];
  /** Imported files by path. */
  readonly imported: ReadonlyMap<string, ImportedFile>;
  /** The path of the file that a module imported in `cells` resolves to. */
  readonly resolve: (module: string) => string | undefined;
}

export interface ImportedFile {
  readonly source: SourceText;
  readonly resolve: (module: string) => string | undefined;
}

/** A parsed text, with all classes that it can name. */
export interface Program {
  readonly parsed: ParsedText;
  readonly universe: Universe;
}

/** Re-exports that are followed at most: `from a import b`, where a imports b from c, and so on. */
const REEXPORTS = 5;

const universes = new WeakMap<
  readonly ModuleClass[],
  { readonly of: readonly object[]; readonly universe: Universe }
>();

export function programOf(model: CodeModel, text: CodeText): Program {
  const cells = text.cells.map((cell) => model.parse(cell));
  const files = new Map([...text.imported].map(([path, { source }]) => [path, model.parse(source)]));
  // Parsed last, so that its tree is still in the model.
  const parsed = model.parse(text.source);
  const of = [...cells, ...files.values()].map(({ classes }) => classes);
  const known = universes.get(parsed.classes);
  if (known?.of.length === of.length && known.of.every((classes, index) => classes === of[index])) {
    return { parsed, universe: known.universe };
  }
  const universe = new Universe(scopes(text, cells, files));
  universes.set(parsed.classes, { of, universe });
  return { parsed, universe };
}

function scopes(text: CodeText, cells: readonly ParsedText[], files: ReadonlyMap<string, ParsedText>): ModuleScope[] {
  const find = (path: string | undefined, name: string, depth: number): ModuleClass | undefined => {
    const file = path === undefined || depth > REEXPORTS ? undefined : files.get(path);
    const own = file?.classes.findLast((one) => one.name === name);
    if (own || !file || path === undefined) return own;
    const again = file.imports.find(({ local }) => local === name);
    return again && find(text.imported.get(path)?.resolve(again.module), again.name, depth + 1);
  };
  const scope = (
    classes: readonly ModuleClass[],
    imports: readonly ImportedName[],
    resolve: (module: string) => string | undefined,
  ): ModuleScope => {
    const imported = new Map<string, ModuleClass>();
    for (const { local, module, name } of imports) {
      const found = find(resolve(module), name, 0);
      if (found) imported.set(local, found);
    }
    return { classes, imported };
  };
  const own = scope(
    cells.flatMap(({ classes }) => classes),
    cells.flatMap(({ imports }) => imports),
    text.resolve,
  );
  return [
    own,
    ...[...files].map(([path, { classes, imports }]) =>
      scope(classes, imports, (module) => text.imported.get(path)?.resolve(module)),
    ),
  ];
}
