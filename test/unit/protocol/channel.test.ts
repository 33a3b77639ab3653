import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { errorData, RankscopeError } from '../../../src/base/errors.ts';
import { connect, type RemoteService } from '../../../src/protocol/channel.ts';
import { processPort } from '../../../src/protocol/processPort.ts';
import type { StepProgress } from '../../../src/protocol/service.ts';
import { processorTimeOf } from '../processorTime.ts';
import { deferred } from './deferred.ts';

describe('the channel to a forked process', () => {
  let child: ChildProcess;
  let service: RemoteService;

  beforeEach(() => {
    child = fork(new URL('child.ts', import.meta.url), {
      execArgv: ['--import', 'tsx'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    service = connect(processPort(child));
  });
  afterEach(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  it('delivers all progress, in order, before the result', async () => {
    const seen: number[] = [];
    const progress = ({ done }: StepProgress) => void seen.push(done);
    const result = await service.spectrum({ path: 'a', name: 'w' }, { progress });
    assert.deepEqual(result, { name: 'w', singularValues: [3, 2, 1] });
    assert.deepEqual(seen, [0, 1, 2]);
  });

  it('keeps the progress of concurrent calls apart', async () => {
    const seen: string[][] = [[], []];
    await Promise.all(
      ['first', 'second'].map((name, index) =>
        service.spectrum({ path: 'a', name }, { progress: ({ message }) => void seen[index]?.push(message) }),
      ),
    );
    assert.deepEqual(seen, [Array(3).fill('first'), Array(3).fill('second')]);
  });

  it('rebuilds a RankscopeError with all its parts', async () => {
    await assert.rejects(service.open({ path: 'x' }), (error) => {
      assert.ok(error instanceof RankscopeError);
      assert.deepEqual(errorData(error), {
        code: 'not-found',
        subject: 'x',
        found: 'no such file',
        remedy: 'Name one that exists',
      });
      return true;
    });
  });

  it('turns any other error into a RankscopeError and logs it in the process where it happened', async () => {
    const log = once(child.stderr ?? assert.fail(), 'data');
    await assert.rejects(service.open({ path: 'broken' }), (error) => {
      assert.ok(error instanceof RankscopeError);
      assert.equal(error.code, 'engine');
      assert.match(error.message, /TypeError: a fault/);
      return true;
    });
    assert.match(String(await log), /a fault/);
  });

  it('refuses unknown methods, inherited ones included', async () => {
    const call = (service as unknown as Record<string, unknown>).toString;
    assert.equal(Object.hasOwn(service, 'toString'), false);
    assert.equal(typeof call, 'function');
    await assert.rejects(service.plan({ path: 'x', request: {} as never }), { code: 'wrong-use' });
  });

  it('cancels a running call within 200 ms of processor time', async () => {
    const cancel = new AbortController();
    const started = deferred();
    const call = service.analyze({ path: 'x' }, { signal: cancel.signal, progress: () => started.resolve() });
    await started.promise;
    const spent = processorTimeOf(child.pid!);
    cancel.abort();
    await assert.rejects(call, { code: 'cancelled' });
    // The call would never end by itself.
    assert.ok(spent() < 200, `${spent()} ms`);
  });

  it('does not send a call that is already cancelled', async () => {
    await assert.rejects(service.analyze({ path: 'x' }, { signal: AbortSignal.abort() }), { code: 'cancelled' });
  });

  it('rejects pending and later calls when the process is killed', async () => {
    const started = deferred();
    const calls = [
      service.analyze({ path: 'x' }, { progress: () => started.resolve() }),
      service.analyze({ path: 'y' }),
      service.analyze({ path: 'z' }),
    ];
    await started.promise;
    child.kill('SIGKILL');
    for (const call of calls) {
      await assert.rejects(call, { code: 'engine', message: /killed by SIGKILL/ });
    }
    await assert.rejects(service.open({ path: 'x' }), { code: 'engine', message: /killed by SIGKILL/ });
  });

  it('names the exit code of a process that exits by itself', async () => {
    await assert.rejects(service.clearCache({}), { code: 'engine', message: /exited with code 7/ });
  });

  it('rejects pending calls when it is closed from this side', async () => {
    const call = service.analyze({ path: 'x' });
    service.close('the window closes');
    await assert.rejects(call, { code: 'engine', message: /the window closes/ });
  });
});

it('a process that cannot be started rejects the first call with the reason', async () => {
  const child = fork('none.js', { execPath: '/nonexistent/node', serialization: 'advanced', stdio: 'ignore' });
  const service = connect(processPort(child));
  await assert.rejects(service.open({ path: 'x' }), { code: 'engine', message: /ENOENT/ });
});
