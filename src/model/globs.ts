import picomatch from 'picomatch';

/**
 * Whether a tensor's name is one of `globs`, or matches one. `*` stands for any text, dots and slashes included, so that
 * `*.mlp.*` means what it says; a name with brackets (`experts[3]`) is also taken literally.
 */
export function nameMatcher(globs: readonly string[]): (name: string) => boolean {
  const exact = new Set(globs);
  const matches = globs.length === 0 ? () => false : picomatch([...globs], { dot: true, bash: true });
  return (name) => exact.has(name) || matches(name);
}
