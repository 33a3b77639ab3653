import { readFileSync } from 'node:fs';

/**
 * Joins Python modules of `python/` into the text of one: what they import from elsewhere, the standard library first,
 * and the rest of each module in the given order.
 */
export function joinPython(names: readonly string[]): { readonly imports: string; readonly body: string } {
  const modules = names.map((name) => split(readFileSync(new URL(`./python/${name}.py`, import.meta.url), 'utf8')));
  const lines = merged(modules.flatMap(({ imports }) => imports));
  const isInstalled = (line: string) => /^\w+ (torch|safetensors|transformers)\b/.test(line);
  const groups = [lines.filter((line) => !isInstalled(line)), lines.filter(isInstalled)];
  return {
    imports: groups.map((group) => group.join('\n')).join('\n\n'),
    body: modules.map(({ body }) => body).join('\n\n\n'),
  };
}

/** A module starts with its imports, each on one line; a relative one names another part of the same text. */
function split(text: string): { imports: string[]; body: string } {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => line !== '' && !/^(import|from) /.test(line));
  return {
    imports: lines.slice(0, end).filter((line) => line !== '' && !line.startsWith('from .')),
    body: lines.slice(end).join('\n').trim(),
  };
}

/** Imports every name once: `import x` first, then one `from x import a, b` for each x. */
function merged(imports: readonly string[]): string[] {
  const whole = new Set<string>();
  const namesOf = new Map<string, Set<string>>();
  for (const line of imports) {
    const [, module, names] = /^from (\S+) import (.*)$/.exec(line) ?? [];
    if (module === undefined || names === undefined) whole.add(line);
    else namesOf.set(module, new Set([...(namesOf.get(module) ?? []), ...names.split(', ')]));
  }
  const partial = [...namesOf].map(([module, names]) => `from ${module} import ${[...names].toSorted().join(', ')}`);
  return [...[...whole].toSorted(), ...partial.toSorted()];
}
