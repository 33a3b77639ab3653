import { join } from 'node:path';

/** The files that an import of `module` in a file in `folder` may mean, likeliest first. */
export function importCandidates(module: string, folder: string, roots: readonly string[]): string[] {
  const dots = /^\.*/.exec(module)?.[0].length ?? 0;
  const parts = module.slice(dots).split('.').filter(Boolean);
  // One dot is the folder itself; each further dot is one level up.
  const bases = dots > 0 ? [join(folder, ...Array<string>(dots - 1).fill('..'))] : [folder, ...roots];
  return bases.flatMap((base) => {
    const stem = join(base, ...parts);
    return parts.length === 0 ? [join(base, '__init__.py')] : [`${stem}.py`, join(stem, '__init__.py')];
  });
}
