import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { createService } from '../../../src/service/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';

const FILE = 'kquants-gguf/real-matrices-all-quants.gguf';
const tensors = ['dtln.lstm_2.kernel.{Q2_K,Q4_K,F32,TQ2_0}'];

describe('quantization noise in an analysis', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const analysisOf = (path: string, more: object = {}) =>
    service.analyze({ path, tensors, engine: 'cpu', values: true, ...more });

  it('has the edge s (sqrt m + sqrt n) and counts the values above it, or is left out if nothing is known', async function () {
    const { matrices } = await analysisOf(checkpointPath(this, FILE));
    const found = new Map(matrices.map((matrix) => [matrix.dtype, matrix]));
    assert.deepEqual([...found.keys()].sort(), ['F32', 'Q2_K', 'Q4_K', 'TQ2_0']);
    for (const type of ['Q2_K', 'Q4_K']) {
      const { shape, quantizationDeviation, quantizationEdge, quantizationRank, singularValues } = found.get(type)!;
      const edge = quantizationDeviation! * (Math.sqrt(shape[0]) + Math.sqrt(shape[1]));
      assert.ok(Math.abs(quantizationEdge! - edge) < 1e-12 * edge);
      assert.equal(quantizationRank, singularValues!.filter((value) => value > edge).length);
    }
    for (const type of ['F32', 'TQ2_0'])
      assert.ok(!Object.keys(found.get(type)!).some((key) => key.startsWith('quantization')));
    // Two bits drown the small directions of this matrix, four do not.
    assert.ok(found.get('Q2_K')!.quantizationRank! < 200);
    assert.ok(found.get('Q4_K')!.quantizationRank! > 250);
  });

  it('has its edge at the largest singular value of the actual error', async function () {
    // The difference of the two stored copies is the error itself; its spectral norm is what the edge foretells.
    const path = checkpointPath(this, FILE);
    const checkpoint = await openCheckpoint(path);
    try {
      const read = async (name: string) => {
        const tensor = checkpoint.tensors.find((each) => each.name === name)!;
        const out = new Float32Array(256 * 256);
        await tensor.read(0, out);
        return out;
      };
      const name = 'retsim.gau_layers.1.proj2.weight';
      const [plain, quantized] = [await read(`${name}.F32`), await read(`${name}.Q4_K`)];
      const backend = createReferenceBackend();
      const error = await backend.allocate(256, 256);
      await backend.upload(error, 0, 256, (out) => {
        for (let i = 0; i < out.length; i++) out[i] = quantized[i]! - plain[i]!;
      });
      const norm = (await backend.singularValues(error))[0]!;
      const { matrices } = await analysisOf(path, { tensors: [`${name}.Q4_K`] });
      const ratio = matrices[0]!.quantizationEdge! / norm;
      assert.ok(ratio > 0.8 && ratio < 1.3, `the edge is ${ratio} of the error's norm`);
    } finally {
      await checkpoint.close();
    }
  });

  it('has no count in a preview, and is kept in the cache', async function () {
    const path = checkpointPath(this, FILE);
    const preview = await analysisOf(path, { mode: 'preview', values: false, cache: false });
    const previewed = preview.matrices.find(({ dtype }) => dtype === 'Q2_K')!;
    assert.ok(previewed.quantizationEdge! > 0 && previewed.quantizationRank === undefined);
    const again = createService({ cacheFolder: folder.path('cache') });
    try {
      const first = await again.analyze({ path, tensors, engine: 'cpu' });
      assert.deepEqual((await again.analyze({ path, tensors, engine: 'cpu' })).matrices, first.matrices);
    } finally {
      await again.close();
    }
  });

  it("matches the schema of the command line's output", async function () {
    const analysis = await analysisOf(checkpointPath(this, FILE));
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(
      JSON.parse(readFileSync('media/schemas/analysis.schema.json', 'utf8')) as object,
    );
    assert.ok(validate(analysis), JSON.stringify(validate.errors));
  });
});
