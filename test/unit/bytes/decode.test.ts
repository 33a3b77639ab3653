import assert from 'node:assert/strict';
import { decode, storedBytes, swapByteOrder } from '../../../src/bytes/decode.ts';
import { python } from '../formats/python.ts';

const bytesOf = (numbers: ArrayBufferView) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

function decoded(dtype: string, bytes: Uint8Array, count: number): number[] {
  const out = new Float32Array(count);
  decode(dtype, bytes, out);
  return [...out];
}

describe('decode', () => {
  it('decodes integers and booleans', () => {
    assert.deepEqual(decoded('I8', bytesOf(new Int8Array([-128, 127])), 2), [-128, 127]);
    assert.deepEqual(decoded('U8', bytesOf(new Uint8Array([0, 255])), 2), [0, 255]);
    assert.deepEqual(decoded('I16', bytesOf(new Int16Array([-32768, 5])), 2), [-32768, 5]);
    assert.deepEqual(decoded('U16', bytesOf(new Uint16Array([65535])), 1), [65535]);
    assert.deepEqual(decoded('I32', bytesOf(new Int32Array([-(2 ** 31), 7])), 2), [-(2 ** 31), 7]);
    assert.deepEqual(decoded('U32', bytesOf(new Uint32Array([2 ** 31])), 1), [2 ** 31]);
    assert.deepEqual(decoded('I64', bytesOf(new BigInt64Array([-1n, 2n ** 40n, -(2n ** 40n)])), 3), [
      -1,
      2 ** 40,
      -(2 ** 40),
    ]);
    assert.deepEqual(decoded('U64', bytesOf(new BigUint64Array([2n ** 63n])), 1), [2 ** 63]);
    assert.deepEqual(decoded('BOOL', new Uint8Array([0, 1, 2]), 3), [0, 1, 1]);
  });

  it('turns doubles beyond the range of f32 into infinity', () => {
    assert.deepEqual(decoded('F64', bytesOf(new Float64Array([1e39, -1e39, 0.5])), 3), [Infinity, -Infinity, 0.5]);
  });

  it('decodes 8-bit floats as OCP defines them', () => {
    assert.deepEqual(decoded('F8_E4M3', new Uint8Array([0x38, 0x7e, 0x01, 0x80, 0xff]), 5), [1, 448, 2 ** -9, -0, NaN]);
    assert.deepEqual(decoded('F8_E5M2', new Uint8Array([0x3c, 0x7b, 0x01, 0xfc]), 4), [1, 57344, 2 ** -16, -Infinity]);
    assert.deepEqual(decoded('F8_E8M0', new Uint8Array([127, 0, 255]), 3), [1, 2 ** -127, NaN]);
  });

  it('decodes 4-bit floats, the low half of a byte first, and explains why it refuses 6-bit floats', () => {
    assert.deepEqual(decoded('F4', new Uint8Array([0x21, 0xf5, 0x87]), 6), [0.5, 1, 3, -6, 6, -0]);
    for (const dtype of ['F6_E2M3', 'F6_E3M2'])
      assert.throws(() => decoded(dtype, new Uint8Array(3), 4), /no agreed way to pack 6-bit floats/);
  });

  it('decodes unaligned bytes to the same values', () => {
    const values = new Float64Array([1.5, -2.25]);
    const shifted = new Uint8Array(17);
    shifted.set(bytesOf(values), 1);
    assert.deepEqual(decoded('F64', shifted.subarray(1), 2), [1.5, -2.25]);
  });

  it('decodes all of an odd number of 16-bit floats', () => {
    for (const count of [1, 2, 3, 7]) {
      const codes = Uint16Array.from({ length: count }, (_, i) => 0x3f80 + i);
      const expected = Array.from({ length: count }, (_, i) => 1 + i / 128);
      assert.deepEqual(decoded('BF16', bytesOf(codes), count), expected);
      assert.deepEqual(
        decoded('F16', bytesOf(codes), count),
        Array.from({ length: count }, (_, i) => 1.875 + i / 1024),
      );
    }
  });

  it('writes into shared memory', () => {
    const out = new Float32Array(new SharedArrayBuffer(8));
    decode('BF16', bytesOf(new Uint16Array([0x3f80, 0xc000])), out);
    assert.deepEqual([...out], [1, -2]);
  });

  it('refuses types whose elements are not single real numbers', () => {
    assert.throws(() => decoded('C64', new Uint8Array(8), 1), { code: 'unsupported' });
    assert.throws(() => decoded('Q9', new Uint8Array(8), 1), { code: 'unsupported' });
  });

  it('computes the stored size of types smaller than a byte', () => {
    assert.equal(storedBytes('F4', 6), 3);
    assert.ok(Number.isNaN(storedBytes('F4', 5)));
    assert.equal(storedBytes('nothing', 5), undefined);
  });

  it('reverses the bytes of big-endian numbers', () => {
    const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
    swapByteOrder(bytes, 4);
    assert.deepEqual([...bytes], [4, 3, 2, 1, 8, 7, 6, 5]);
  });

  it('agrees with torch on every code of every small float', function () {
    const script = `
import json, torch
out = {}
codes8 = torch.arange(256, dtype=torch.uint8)
codes16 = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
for name, codes, dtype in [("F16", codes16, torch.float16), ("BF16", codes16, torch.bfloat16),
    ("F8_E4M3", codes8, torch.float8_e4m3fn), ("F8_E5M2", codes8, torch.float8_e5m2),
    ("F8_E4M3FNUZ", codes8, torch.float8_e4m3fnuz), ("F8_E5M2FNUZ", codes8, torch.float8_e5m2fnuz)]:
    values = codes.view(dtype).to(torch.float32)
    out[name] = ["nan" if v != v else str(v) for v in values.tolist()]
print(json.dumps(out))`;
    const reference = python(this, ['torch'], script) as Record<string, string[]>;
    const parse = (text: string) => (text.endsWith('inf') ? Number(text.replace('inf', 'Infinity')) : Number(text));
    for (const [dtype, texts] of Object.entries(reference)) {
      const codes = texts.length === 256 ? Uint8Array.from(texts.keys()) : bytesOf(Uint16Array.from(texts.keys()));
      assert.deepEqual(decoded(dtype, codes, texts.length), texts.map(parse), dtype);
    }
  }).timeout(120_000);
});
