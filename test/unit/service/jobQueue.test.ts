import assert from 'node:assert/strict';
import { setImmediate as tick } from 'node:timers/promises';
import { JobQueue } from '../../../src/service/devices/jobQueue.ts';

describe('the job queue of a device', () => {
  it('never runs two jobs at once', async () => {
    const queue = new JobQueue();
    let running = 0;
    const job = async () => {
      assert.equal(++running, 1);
      await tick();
      running--;
    };
    await Promise.all(Array.from({ length: 20 }, () => queue.run('w', job)));
  });

  it('alternates between two analyses', async () => {
    const queue = new JobQueue();
    const order: string[] = [];
    const analysis = async (name: string) => {
      for (let i = 0; i < 3; i++) await queue.run(name, async () => void order.push(name));
    };
    await Promise.all([analysis('a'), analysis('b')]);
    assert.deepEqual(order, ['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('runs urgent jobs before patient ones', async () => {
    const queue = new JobQueue();
    const order: string[] = [];
    const first = queue.run('running', tick);
    const patient = queue.run('patient', async () => void order.push('patient'));
    const urgent = queue.run('urgent', async () => void order.push('urgent'), { urgent: true });
    await Promise.all([first, patient, urgent]);
    assert.deepEqual(order, ['urgent', 'patient']);
  });

  it('runs the urgent jobs that wait when a long one lets them, and then the long one on', async () => {
    const queue = new JobQueue();
    const order: string[] = [];
    let running = 0;
    const note = async (name: string) => {
      assert.equal(++running, 1);
      await tick();
      order.push(name);
      running--;
    };
    const others: Promise<void>[] = [];
    await queue.run('long', async () => {
      assert.equal(queue.letUrgent('long'), undefined);
      others.push(queue.run('patient', () => note('patient')));
      await note('first half');
      others.push(...['a', 'b'].map((name) => queue.run(name, () => note(name), { urgent: true })));
      await queue.letUrgent('long');
      await note('second half');
    });
    await Promise.all(others);
    assert.deepEqual(order, ['first half', 'a', 'b', 'second half', 'patient']);
  });

  it('runs jobs that allow it side by side, each in a lane of its own, and the others alone', async () => {
    const queue = new JobQueue(2);
    const running = new Set<string>();
    const lanes = new Set<number | undefined>();
    const seen: string[] = [];
    const job = (name: string) => async (lane: number | undefined) => {
      running.add(name);
      lanes.add(lane);
      seen.push([...running].toSorted().join(' and '));
      await tick();
      await tick();
      running.delete(name);
    };
    await Promise.all([
      queue.run('a', job('a'), { beside: true }),
      queue.run('b', job('b'), { beside: true }),
      queue.run('c', job('c'), { beside: true }),
      queue.run('whole', job('whole')),
      queue.run('d', job('d'), { beside: true }),
      queue.run('urgent', job('urgent'), { urgent: true }),
    ]);
    assert.deepEqual(seen.toSorted(), ['a', 'a and b', 'c', 'd', 'urgent', 'whole']);
    assert.equal(seen.at(2), 'urgent');
    assert.deepEqual(lanes, new Set([0, 1, undefined]));
  });

  it('lets others go on when a job for the whole device is cancelled while it waits for the lanes', async () => {
    const queue = new JobQueue(2);
    const cancel = new AbortController();
    let release: () => void = () => undefined;
    const long = queue.run('long', () => new Promise<void>((resolve) => (release = resolve)), { beside: true });
    const whole = queue.run('whole', async () => undefined, { signal: cancel.signal });
    const beside = queue.run('beside', async (lane) => lane, { beside: true });
    cancel.abort();
    await assert.rejects(whole, { code: 'cancelled' });
    assert.equal(typeof (await beside), 'number');
    release();
    await long;
  });

  it('rejects a job that is cancelled while it waits, and never runs it', async () => {
    const queue = new JobQueue();
    let release: () => void = () => undefined;
    const blocking = queue.run('long', () => new Promise<void>((resolve) => (release = resolve)));
    const cancel = new AbortController();
    const ran: string[] = [];
    const waiting = queue.run('w', async () => void ran.push('w'), { signal: cancel.signal });
    cancel.abort();
    await assert.rejects(waiting, { code: 'cancelled' });
    release();
    await blocking;
    await queue.run('next', async () => undefined);
    assert.deepEqual(ran, []);
  });

  it('continues after a job fails', async () => {
    const queue = new JobQueue();
    await assert.rejects(
      queue.run('w', async () => {
        throw new Error('fails');
      }),
    );
    assert.equal(await queue.run('w', async () => 7), 7);
  });
});
