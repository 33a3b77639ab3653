/**
 * The forked process for the tests of the channel. Its answers are computed from the questions, so they cannot come
 * from elsewhere.
 */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankscopeError, throwIfCancelled } from '../../../src/base/errors.ts';
import { serve } from '../../../src/protocol/channel.ts';
import { processPort } from '../../../src/protocol/processPort.ts';
import type { Service } from '../../../src/protocol/service.ts';

const service = {
  async open({ path }: { path: string }) {
    if (path === 'broken') throw new TypeError('a fault');
    throw new RankscopeError('not-found', path, 'no such file', 'Name one that exists');
  },
  async spectrum({ name }: { name: string }, context?: { signal?: AbortSignal; progress?: (value: unknown) => void }) {
    for (let done = 0; done < 3; done++) context?.progress?.({ done, total: 3, message: name });
    return { name, singularValues: [3, 2, 1] };
  },
  async analyze(_: unknown, context?: { signal?: AbortSignal; progress?: (value: unknown) => void }) {
    context?.progress?.({ done: 0, total: 1, message: 'started' });
    for (;;) {
      await sleep(5);
      throwIfCancelled(context?.signal, 'analyze');
    }
  },
  async clearCache() {
    process.exit(7);
  },
} as unknown as Service;

serve(processPort(process), service, (fault) => console.error(String(fault)));
process.on('disconnect', () => process.exit(0));
