import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Assembly, cutUp, FRAGMENT_WEIGHT, type Fragment } from '../../../src/protocol/fragments.ts';
import { Inbox, Outbox } from '../../../src/protocol/mailbox.ts';

/** The number of values, 16 characters of text counting as one. */
function weight(value: unknown): number {
  if (typeof value === 'string') return 1 + Math.floor(value.length / 16);
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, item) => sum + weight(item), 1);
}

function together(fragments: Iterable<Fragment>): unknown {
  const assembly = new Assembly();
  // As if it had crossed a boundary: the result shares nothing with the original.
  for (const fragment of fragments) assembly.add(structuredClone(fragment));
  return assembly.value;
}

const finding = (index: number) => ({ name: `layers.${index}.weight`, shape: [64, 64], energyRanks: { '0.9': index } });
const large = {
  id: 7,
  result: {
    matrices: Array.from({ length: 5000 }, (_, index) => finding(index)),
    lists: [Array.from({ length: 9000 }, (_, index) => index / 3), [], 'short'],
    ranks: Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`w${index}`, index])),
    text: 'spectrum '.repeat(20_000),
    nothing: null,
    absent: undefined,
  },
};

describe('a value cut into fragments', () => {
  it('is the same after reassembly', () => {
    assert.deepEqual(together(cutUp(large)), large);
  });

  it('is the same after reassembly, whatever it holds', () => {
    const many = fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 0, maxLength: 30 });
    const long = fc.constantFrom(large.result.matrices, large.result.text, large.result.ranks, 1, null, {});
    fc.assert(
      fc.property(many, long, fc.string(), (items, heavy, key) => {
        const value = { items: [...items, heavy, ...items], [key]: [heavy], ['__proto__']: heavy };
        assert.deepEqual(together(cutUp(value)), value);
      }),
      { numRuns: 30 },
    );
  });

  it('has no heavy fragment', () => {
    for (const fragment of cutUp(large)) assert.ok(weight(fragment.value) <= FRAGMENT_WEIGHT + 1, `${fragment.at}`);
  });

  it('stays in one fragment if it is small', () => {
    const value = { method: 'open', params: { path: 'a' } };
    assert.deepEqual([...cutUp(value)], [{ at: [], value }]);
  });
});

describe('large messages', () => {
  it('arrive whole and in order', async () => {
    const arrived: unknown[] = [];
    const inbox = new Inbox((message) => arrived.push(message));
    const outbox = new Outbox((message) => inbox.receive(structuredClone(message)));
    const messages = [1, large, 'after it', { ...large, id: 8 }, 2];
    await Promise.all(messages.map((message) => outbox.send(message)));
    assert.deepEqual(arrived, messages);
  });

  /** The messages that were posted in each turn of the event loop in which any was. */
  async function turnsOf(send: (outbox: Outbox) => Promise<unknown>): Promise<unknown[][]> {
    const turns = new Map<number, unknown[]>();
    let turn = 0;
    const count = () => {
      turn++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const outbox = new Outbox((message) => {
      turns.set(turn, [...(turns.get(turn) ?? []), message]);
    });
    await send(outbox);
    clearImmediate(timer);
    return [...turns.values()];
  }

  it('are posted one in each turn of the event loop', async () => {
    const turns = await turnsOf((outbox) => outbox.send(large));
    assert.ok(turns.length > 20, `${turns.length} parts`);
    assert.deepEqual(
      turns.map(({ length }) => length),
      turns.map(() => 1),
    );
  });

  it('are followed by the messages behind them, in each turn no more than a part holds', async () => {
    const small = Array.from({ length: 3000 }, (_, index) => finding(index));
    const turns = await turnsOf((outbox) => Promise.all([large, ...small].map((message) => outbox.send(message))));
    const posted = turns.flat().filter((message) => !('fragment' in (message as object)));
    assert.deepEqual(posted, small);
    for (const messages of turns) {
      const sum = messages.reduce((total: number, message) => total + weight(message), 0);
      assert.ok(sum <= FRAGMENT_WEIGHT + 50, `${sum} in ${messages.length} messages`);
    }
  });

  it('report a part that could not be posted to the sender, and continue with the next message', async () => {
    const posted: unknown[] = [];
    const outbox = new Outbox(async (message) => {
      if (typeof message === 'object') throw new Error('gone');
      posted.push(message);
    });
    const failing = outbox.send(large);
    const next = outbox.send('next');
    await assert.rejects(failing, /gone/);
    await next;
    assert.deepEqual(posted, ['next']);
  });
});
