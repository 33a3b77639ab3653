import assert from 'node:assert/strict';
import { fletcher32 } from '../../../../src/formats/hdf5/chunks/filters.ts';
import { lookup3 } from '../../../../src/formats/hdf5/file/lookup3.ts';

describe('HDF5 checksums', () => {
  it('match the self-test of lookup3', () => {
    // From the self-test of lookup3.c.
    assert.equal(lookup3(Buffer.alloc(0)), 0xdeadbeef);
    assert.equal(lookup3(Buffer.from('Four score and seven years ago')), 0x17770551);
  });

  it('count four blank bytes as zeros', () => {
    const bytes = Uint8Array.from({ length: 40 }, (_, i) => i + 1);
    const blanked = bytes.slice().fill(0, 13, 17);
    assert.equal(lookup3(bytes, 13), lookup3(blanked));
    assert.notEqual(lookup3(bytes), lookup3(blanked));
  });

  it('are Fletcher sums modulo 65535 of big-endian words, for values of any length', () => {
    for (const length of [0, 1, 2, 719, 720, 721, 5000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 37) % 256);
      let [first, second] = [0, 0];
      for (let i = 0; i < length; i += 2) {
        first = (first + 256 * bytes[i]! + (bytes[i + 1] ?? 0)) % 65535;
        second = (second + first) % 65535;
      }
      const own = fletcher32(bytes);
      assert.deepEqual([(own & 0xffff) % 65535, (own >>> 16) % 65535], [first, second]);
    }
  });
});
