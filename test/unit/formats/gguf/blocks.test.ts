import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { GGML_TYPES } from '../../../../src/formats/gguf/types.ts';

const EXPECTED: Record<string, { blocks: string; values: string }> = JSON.parse(
  readFileSync(new URL('../../../fixtures/gguf/blocks.json', import.meta.url), 'utf8'),
);
const byName = new Map([...GGML_TYPES.values()].map((type) => [type.name, type]));

describe('ggml block types', () => {
  for (const [name, { blocks, values }] of Object.entries(EXPECTED)) {
    it(`${name} decodes to exactly the reference's bits`, () => {
      const type = byName.get(name)!;
      const bytes = new Uint8Array(Buffer.from(blocks, 'base64'));
      const expected = Buffer.from(values, 'base64');
      const out = new Float32Array(expected.length / 4);
      for (let i = 0; i * type.bytes < bytes.length; i++) type.decode!(bytes, i * type.bytes, out, i * type.values);
      const truth = Float32Array.from(out, (_, i) => expected.readFloatLE(4 * i));
      assert.deepEqual(out, truth);
    });
  }

  it('all block types are compared, except for two that no file stores and two that the reference lacks', () => {
    const untested = [...byName.values()].filter(({ name, decode }) => decode && !(name in EXPECTED));
    assert.deepEqual(
      untested.map(({ name }) => name),
      ['Q8_1', 'Q8_K', 'Q1_0', 'Q2_0'],
    );
  });

  it('Q1_0 gives a half its sign by one bit, from the lowest bit up', () => {
    const bytes = new Uint8Array(18);
    bytes.set([0x00, 0x38, 0b101, 0, 0xff], 0); // 0.5 as a half
    const out = new Float32Array(128);
    byName.get('Q1_0')!.decode!(bytes, 0, out, 0);
    const expected = Array.from({ length: 128 }, (_, i) => (i === 0 || i === 2 || (i >= 16 && i < 24) ? 0.5 : -0.5));
    assert.deepEqual([...out], expected);
  });

  it('Q2_0 multiplies a half by -1 to 2, by two bits from the lowest up', () => {
    const bytes = new Uint8Array(18).fill(0b01010101);
    bytes.set([0x00, 0x38, 0b11100100], 0);
    const out = new Float32Array(64);
    byName.get('Q2_0')!.decode!(bytes, 0, out, 0);
    assert.deepEqual([...out], [-0.5, 0, 0.5, 1, ...new Array<number>(60).fill(0)]);
  });

  it('Q8_K scales signed bytes by an f32', () => {
    const bytes = new Uint8Array(292);
    new DataView(bytes.buffer).setFloat32(0, 0.25, true);
    bytes.set([1, 255, 128], 4);
    const out = new Float32Array(256);
    byName.get('Q8_K')!.decode!(bytes, 0, out, 0);
    assert.deepEqual([...out.subarray(0, 4)], [0.25, -0.25, -32, 0]);
  });

  it('Q8_1 scales signed bytes by a half', () => {
    const bytes = new Uint8Array(36);
    bytes.set([0, 0x38, 0, 0, 3, 253], 0); // 0x3800 is 0.5
    const out = new Float32Array(32);
    byName.get('Q8_1')!.decode!(bytes, 0, out, 0);
    assert.deepEqual([...out.subarray(0, 3)], [1.5, -1.5, 0]);
  });
});
