import { runMocha } from '../host/extensionHost.ts';

/** What VS Code calls inside its extension host: each test file is imported here, once mocha's words exist. */
export const run = (): Promise<void> =>
  runMocha(async () => {
    await import('./activation.test.ts');
  });
