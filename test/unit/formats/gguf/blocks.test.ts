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

  it('all block types are compared, except for the two that no file stores', () => {
    const untested = [...byName.values()].filter(({ name, decode }) => decode && !(name in EXPECTED));
    assert.deepEqual(
      untested.map(({ name }) => name),
      ['Q8_1', 'Q8_K'],
    );
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
