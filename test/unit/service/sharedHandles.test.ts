import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { SharedHandles } from '../../../src/service/sharedHandles.ts';

describe('shared handles', () => {
  let opened: string[];
  let closed: string[];
  const open = (key: string) => async () => {
    opened.push(key);
    return key;
  };
  const poolOf = (keep: number, idleMs: number) =>
    new SharedHandles<string>({ close: async (key) => void closed.push(key), keep, idleMs });

  beforeEach(() => {
    opened = [];
    closed = [];
  });

  it('opens a value once for concurrent users, and keeps it for the next', async () => {
    const pool = poolOf(2, 10_000);
    await Promise.all([1, 2, 3].map(() => pool.use('a', open('a'), () => sleep(2))));
    await pool.use('a', open('a'), async () => undefined);
    assert.deepEqual([opened, closed], [['a'], []]);
    await pool.close();
    assert.deepEqual(closed, ['a']);
  });

  it('closes the least recently used values if too many are unused', async () => {
    const pool = poolOf(2, 10_000);
    for (const key of ['a', 'b', 'a', 'c']) await pool.use(key, open(key), async () => undefined);
    await sleep(1);
    assert.deepEqual(closed, ['b']);
    await pool.close();
  });

  it('closes a value that has been unused for a while', async () => {
    const pool = poolOf(2, 5);
    await pool.use('a', open('a'), async () => undefined);
    await sleep(30);
    assert.deepEqual(closed, ['a']);
  });

  it('never closes a value in use: the last user of an evicted one does', async () => {
    const pool = poolOf(0, 0);
    await pool.use('a', open('a'), async () => {
      pool.evict('a');
      await sleep(5);
      assert.deepEqual(closed, []);
      await pool.use('a', open('a'), async () => assert.deepEqual(opened, ['a', 'a']));
    });
    await sleep(5);
    assert.deepEqual(closed, ['a', 'a']);
  });

  it('does not keep a failure', async () => {
    const pool = poolOf(2, 10_000);
    const failing = pool.use(
      'a',
      () => Promise.reject(new Error('locked')),
      async () => 1,
    );
    await assert.rejects(failing, /locked/);
    assert.equal(await pool.use('a', open('a'), async (value) => value), 'a');
    await pool.close();
  });

  it('continues opening for the others if one caller is cancelled', async () => {
    const pool = poolOf(2, 10_000);
    const cancel = new AbortController();
    const slow = async () => {
      await sleep(10);
      return 'a';
    };
    const first = pool.use('a', slow, async (value) => value, cancel.signal);
    const second = pool.use('a', slow, async (value) => value);
    cancel.abort();
    await assert.rejects(first, { code: 'cancelled' });
    assert.equal(await second, 'a');
    await pool.close();
  });
});
