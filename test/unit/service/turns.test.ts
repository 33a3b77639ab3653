import assert from 'node:assert/strict';
import { setImmediate as tick } from 'node:timers/promises';
import { Turns } from '../../../src/service/engines/turns.ts';

describe('turns on one engine', () => {
  it('never runs two jobs at once', async () => {
    const turns = new Turns();
    let running = 0;
    const job = async () => {
      assert.equal(++running, 1);
      await tick();
      running--;
    };
    await Promise.all(Array.from({ length: 20 }, () => turns.run('w', job)));
  });

  it('lets two analyses alternate', async () => {
    const turns = new Turns();
    const order: string[] = [];
    const analysis = async (name: string) => {
      for (let i = 0; i < 3; i++) await turns.run(name, async () => void order.push(name));
    };
    await Promise.all([analysis('a'), analysis('b')]);
    assert.deepEqual(order, ['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('serves what a person waits for before what an analysis goes on with', async () => {
    const turns = new Turns();
    const order: string[] = [];
    const first = turns.run('running', tick);
    const patient = turns.run('patient', async () => void order.push('patient'));
    const urgent = turns.run('urgent', async () => void order.push('urgent'), { urgent: true });
    await Promise.all([first, patient, urgent]);
    assert.deepEqual(order, ['urgent', 'patient']);
  });

  it('forgets a job that is cancelled while it waits, at once', async () => {
    const turns = new Turns();
    let release: () => void = () => undefined;
    const blocking = turns.run('long', () => new Promise<void>((resolve) => (release = resolve)));
    const cancel = new AbortController();
    const ran: string[] = [];
    const waiting = turns.run('w', async () => void ran.push('w'), { signal: cancel.signal });
    cancel.abort();
    await assert.rejects(waiting, { code: 'cancelled' });
    release();
    await blocking;
    await turns.run('next', async () => undefined);
    assert.deepEqual(ran, []);
  });

  it('goes on after a job that failed', async () => {
    const turns = new Turns();
    await assert.rejects(
      turns.run('w', async () => {
        throw new Error('fails');
      }),
    );
    assert.equal(await turns.run('w', async () => 7), 7);
  });
});
