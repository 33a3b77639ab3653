import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { CalibrationReport } from '../../../src/model/calibration.ts';
import type { Analysis } from '../../../src/model/findings.ts';
import { testFolder } from '../formats/folder.ts';
import { type Case, writeDecoder } from '../network/decoders.ts';
import { run } from './run.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];

describe('rankscope calibrate', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path(), ...words);
  const written = () => {
    const path = writeDecoder(folder.path('llama'), CASES.find(({ kind }) => kind === 'llama')!);
    const ids = folder.write('ids.json', JSON.stringify(Array.from({ length: 70 }, (_, i) => (7 * i * i + 1) % 40)));
    return { path, ids, out: folder.path('llama.activations.safetensors') };
  };

  it('writes statistics, with which analyze shows W X beside W', async () => {
    const { path, ids, out } = written();
    const words = ['calibrate', path, '--ids', ids, '--context', '32', '--out', out];
    const { code, stdout, stderr } = await cli(...words, '--tokens', '40');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /the inputs of 15 matrices in 9 groups\n/);
    assert.match(stdout, /ids\.json: 32 tokens in 1 window of 32; 38 of its 69 are dropped\n/);
    assert.match(stdout, /Fewer tokens than inputs: 2 groups \(model\.layers\.0\.mlp\.down_proj: 32 of 48\)/);
    const again = await cli(...words, '--json', '--force');
    const report = JSON.parse(again.stdout) as CalibrationReport;
    const schema = JSON.parse(readFileSync('media/schemas/calibration.schema.json', 'utf8')) as object;
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
    assert.ok(validate(report), JSON.stringify(validate.errors));
    assert.equal(report.tokens, 64);
    assert.equal(report.bytes, statSync(out).size);
    const shown = await cli('analyze', path, '--activations', out);
    assert.match(shown.stdout, /alpha +WX 90% +WX 95% +WX 99%\n/);
    assert.match(shown.stdout, /X: .*llama\.activations\.safetensors \(the text ids\.json, 64 tokens, rankscope /);
    const { matrices, activations } = JSON.parse(
      (await cli('analyze', path, '--activations', out, '--json')).stdout,
    ) as Analysis;
    assert.equal(activations!.model, 'model.safetensors');
    assert.ok(matrices.every((finding) => finding.activations!.energyRanks['0.9'] > 0));
  });

  it('refuses wrong use with exit code 2, and leaves no file', async () => {
    const { path, ids, out } = written();
    for (const [words, message] of [
      [['--out', out], /--text and --ids/],
      [['--ids', ids, '--text', ids, '--out', out], /--text and --ids/],
      [['--ids', ids], /--out/],
      [['--ids', ids, '--out', out, '--context', '1'], /--context/],
      [['--ids', ids, '--out', out, '--context', '65'], /context of 64/],
      [['--ids', folder.write('few.txt', '1 2 3'), '--out', out], /fewer than the/],
      [['--ids', ids, '--out', path, '--force'], /source itself/],
    ] as const) {
      const { code, stderr } = await cli('calibrate', path, ...words);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
    assert.ok(!existsSync(out));
    const preview = await cli('analyze', path, '--activations', ids, '--mode', 'preview');
    assert.equal(preview.code, 2);
    assert.match(preview.stderr, /--mode exact/);
    const other = await cli('analyze', path, '--activations', ids);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /ids\.json: .*no imatrix/);
  });

  it('refuses an architecture that is not known, by its name', async () => {
    const { ids, out } = written();
    const [known] = CASES;
    const path = writeDecoder(folder.path('mamba'), { ...known!, config: { ...known!.config, model_type: 'mamba' } });
    const { code, stderr } = await cli('calibrate', path, '--ids', ids, '--out', out);
    assert.equal(code, 1);
    assert.match(stderr, /mamba/);
    assert.deepEqual(
      readdirSync(folder.path()).filter((name) => name.includes('activations')),
      [],
    );
  });
});
