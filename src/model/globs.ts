import picomatch from 'picomatch';

/** Where in a stack a matrix is, at the end of its name: `[3]`. */
const INDICES = /(?:\[\d+\])+$/;

/**
 * Whether a tensor's name equals or matches one of `globs`. `*` matches any text including dots and slashes, as
 * `*.mlp.*` suggests; a glob with brackets (`experts[3]`) also matches literally, and `experts[*]`, which tables print
 * for all experts of a stack, matches each of them, as does a glob of the stack's own name.
 */
export function nameMatcher(globs: readonly string[]): (name: string) => boolean {
  const exact = new Set(globs);
  const patterns = globs.map((glob) => glob.replaceAll('[*]', '\\[*\\]'));
  const matches = patterns.length === 0 ? () => false : picomatch(patterns, { dot: true, bash: true });
  const named = (name: string) => exact.has(name) || matches(name);
  return (name) => named(name) || named(name.replace(INDICES, ''));
}
