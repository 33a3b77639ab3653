/** Waits until `condition` holds; fails with its text after fifteen seconds. */
export async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited too long for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
