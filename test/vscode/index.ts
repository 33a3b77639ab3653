import { runMocha } from '../host/extensionHost.ts';

/** What VS Code calls inside its extension host: each test file is imported here, once mocha's words exist. */
export const run = (): Promise<void> =>
  runMocha(async () => {
    await import('./activation.test.ts');
    await import('./eventLoop.test.ts');
    await import('./inspector.test.ts');
    await import('./engine.test.ts');
    await import('./code.test.ts');
    await import('./panel.test.ts');
    await import('./comparison.test.ts');
    await import('./lora.test.ts');
    await import('./evaluation.test.ts');
    await import('./compression.test.ts');
    await import('./generation.test.ts');
    await import('./python.test.ts');
  });
