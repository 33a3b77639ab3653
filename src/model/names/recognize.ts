import { FAMILIES } from './families.ts';
import type { Family } from './family.ts';

/** Every path of a family with its role, by the path's full form. */
const PATHS = new Map(
  FAMILIES.map((family) => [
    family,
    new Map(
      Object.entries(family.paths).flatMap(([stack, modules]) =>
        Object.entries(modules).map(([module, role]) => [stack ? `${stack}.${module}` : module, role] as const),
      ),
    ),
  ]),
);

/**
 * The family that explains most of the paths, or null. It must know a matrix in a layer: `embed_tokens` alone is no
 * evidence.
 * @param matrixPaths paths of matrices. @param allPaths paths of vectors as well, which can identify a family.
 */
export function recognize(matrixPaths: ReadonlySet<string>, allPaths: ReadonlySet<string>): Family | null {
  let best: Family | null = null;
  let bestScore = 0;
  for (const family of FAMILIES) {
    const known = [...matrixPaths].filter((path) => roleOfPath(family, path) !== undefined);
    if (!known.some((path) => path.includes('#'))) continue;
    const marks = family.marks?.filter((mark) => allPaths.has(mark)).length ?? 0;
    if (family.marks && marks === 0) continue;
    const score = known.length + Math.min(marks, 1) / 2;
    if (score > bestScore) [best, bestScore] = [family, score];
  }
  return best;
}

export function roleOfPath(family: Family, path: string) {
  return PATHS.get(family)?.get(withoutAdapter(path));
}

/** `q_proj.lora_A` and `q_proj.base_layer` are still parts of `q_proj`. */
function withoutAdapter(path: string): string {
  return path.replace(/\.(base_layer|lora_\w+(\.default)?)$/, '');
}
