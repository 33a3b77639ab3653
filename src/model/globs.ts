import picomatch from 'picomatch';

/**
 * Whether a tensor's name equals or matches one of `globs`. `*` matches any text including dots and slashes, as
 * `*.mlp.*` suggests; a glob with brackets (`experts[3]`) also matches literally.
 */
export function nameMatcher(globs: readonly string[]): (name: string) => boolean {
  const exact = new Set(globs);
  const matches = globs.length === 0 ? () => false : picomatch([...globs], { dot: true, bash: true });
  return (name) => exact.has(name) || matches(name);
}
