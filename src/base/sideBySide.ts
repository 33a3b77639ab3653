/**
 * Runs several workers at the same time. If one fails, the others are told to stop, and its error is thrown when all
 * have ended.
 * @param worker is given its number, from 0 on, and whether another one has failed
 */
export async function sideBySide(
  count: number,
  worker: (number: number, isOver: () => boolean) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  const guarded = async (_: unknown, number: number) => {
    try {
      await worker(number, () => failures.length > 0);
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: count }, guarded));
  if (failures.length > 0) throw failures[0];
}

/** The results of `work` for all items in their order, several at the same time. */
export async function mapSideBySide<Item, Result>(
  count: number,
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  await sideBySide(Math.min(count, items.length), async (_, isOver) => {
    while (next < items.length && !isOver()) {
      const at = next++;
      results[at] = await work(items[at]!);
    }
  });
  return results;
}
