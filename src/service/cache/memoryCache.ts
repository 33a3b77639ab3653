import type { Cache, CacheEntry } from './cache.ts';

const MEMORY_BYTES = 32 * 2 ** 20;

/** Keeps the last used entries of `slow` in memory, so that a click right after an analysis reads no file. */
export function memoryCache(slow: Cache, maxBytes = MEMORY_BYTES): Cache {
  // Ordered by last use.
  const entries = new Map<string, CacheEntry>();
  let bytes = 0;

  function remember(key: string, entry: CacheEntry): void {
    forget(key);
    entries.set(key, entry);
    bytes += sizeOf(entry);
    for (const oldest of entries.keys()) {
      if (bytes <= maxBytes) break;
      forget(oldest);
    }
  }

  function forget(key: string): void {
    const entry = entries.get(key);
    if (!entry) return;
    entries.delete(key);
    bytes -= sizeOf(entry);
  }

  return {
    async get(key) {
      const entry = entries.get(key) ?? (await slow.get(key));
      if (entry) remember(key, entry);
      return entry;
    },
    async put(key, entry) {
      remember(key, entry);
      await slow.put(key, entry);
    },
    async clear() {
      entries.clear();
      bytes = 0;
      return slow.clear();
    },
  };
}

/** The memory of an entry: its values, and about a kilobyte for the rest. */
function sizeOf({ singularValues }: CacheEntry): number {
  return singularValues.byteLength + 1024;
}
