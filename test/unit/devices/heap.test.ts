import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Heap } from '../../../src/devices/cpu/memory.ts';

describe('the heap of the cpu backend', () => {
  it('never allocates memory twice, and recovers all of it', () => {
    const step = fc.oneof(fc.integer({ min: 1, max: 300_000 }), fc.integer({ min: -20, max: -1 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new Heap(256);
        let taken: { at: number; end: number }[] = [];
        for (const wanted of steps) {
          if (wanted < 0) {
            const [gone] = taken.splice((-wanted - 1) % Math.max(1, taken.length), 1);
            if (gone) heap.release(gone.at);
            continue;
          }
          let at: number;
          try {
            at = heap.allocate(wanted, 'test');
          } catch {
            continue;
          }
          const end = at + wanted;
          assert.equal(at % 64, 0);
          assert.ok(end <= heap.memory.buffer.byteLength);
          assert.ok(taken.every((other) => end <= other.at || at >= other.end));
          taken.push({ at, end });
        }
        for (const { at } of taken) heap.release(at);
        taken = [];
        assert.equal(heap.used, 0);
        // Free blocks are merged into one.
        assert.ok(heap.allocate(heap.limit, 'all') > 0);
      }),
      { numRuns: 40 },
    );
  });

  it('grows to all that 32 bits address, and rejects more', () => {
    const heap = new Heap();
    assert.equal(heap.limit, 2 ** 32 - 2 ** 16);
    assert.throws(() => heap.allocate(2 ** 32, 'a 32768 x 32768 matrix'), {
      code: 'too-large',
      message: /needs 4.29 GB; 0 bytes of the 4.29 GB that the cpu engine can address are in use.*Choose a GPU engine/,
    });
    assert.equal(heap.used, 0);
  });

  it('rejects a block that does not fit, with the numbers, and allocates nothing', () => {
    const heap = new Heap(160);
    heap.allocate(2 ** 20, 'first');
    assert.throws(() => heap.allocate(16 * 2 ** 20, 'a 2048 x 2048 matrix'), {
      code: 'too-large',
      subject: 'a 2048 x 2048 matrix',
      message: /needs 16.8 MB; 1.05 MB of the 10.4 MB .* are in use/,
    });
    assert.equal(heap.used, 2 ** 20);
    heap.allocate(2 ** 20, 'second');
  });
});
