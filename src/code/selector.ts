/** How PEFT selects modules by the entries of `target_modules` and the keys of `rank_pattern`. */

/** Regular expressions beyond these parts could take for ever on a hostile pattern; they are left alone. */
const SIMPLE = /^(?:[\w\\.|]|\.\*|\.\+|\[[\w-]+\]|\\d\+?|\\w\+?|\(\?:|[()^$])*$/;
const META = /[\\^$*+?()[\]{}|]/;

/**
 * The modules that `selector` means: those of this name and those whose name ends in it after a dot. A regular expression must
 * match the whole name, or its end after a dot, as in the keys of a pattern.
 */
export function selectorMatches(selector: string, modules: readonly string[]): string[] {
  if (selector === '' || selector.length > 200) return [];
  if (!META.test(selector)) return modules.filter((name) => name === selector || name.endsWith(`.${selector}`));
  if (!SIMPLE.test(selector) || (selector.match(/[*+]/g) ?? []).length > 3) return [];
  try {
    const pattern = new RegExp(`^(?:.*\\.)?(?:${selector})$`);
    return modules.filter((name) => name.length < 300 && pattern.test(name));
  } catch {
    return [];
  }
}
