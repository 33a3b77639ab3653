import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join, resolve } from 'node:path';
import { createService } from '../../../src/service/service.ts';
import { Archive } from '../../../src/window/sessions/archive.ts';
import type { Memory } from '../../../src/window/sessions/memory.ts';
import { SessionStore } from '../../../src/window/sessions/sessionStore.ts';

export const SAMPLE = resolve('test/fixtures/sample/model.safetensors');

/** An in-memory stand-in for VS Code's Memento. */
export function memory(): Memory {
  const values = new Map<string, unknown>();
  return {
    get: <T>(key: string) => values.get(key) as T | undefined,
    update: async (key, value) => void values.set(key, value),
  };
}

/** The real service in a folder of its own, with a session store; `close` removes the folder. */
export function inProcess() {
  const folder = mkdtempSync(join(os.tmpdir(), 'rankscope-unit-'));
  const service = createService({ cacheFolder: join(folder, 'cache') });
  const archive = new Archive(join(folder, 'findings'), () => undefined);
  const request = () => ({ engine: 'cpu', threads: 1 });
  const kept = memory();
  const newStore = () => new SessionStore({ service, request }, kept, archive);
  return {
    folder,
    service,
    archive,
    newStore,
    store: newStore(),
    async close() {
      await service.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
