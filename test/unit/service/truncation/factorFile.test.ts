import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { withFactorFile } from '../../../../src/service/truncation/factorFile.ts';
import { found } from '../../../../src/service/truncation/found.ts';
import { testFolder } from '../../formats/folder.ts';

describe('factors that wait beside a result', () => {
  const folder = testFolder();
  const valuesOf = (length: number, start: number) => Float32Array.from({ length }, (_, i) => start + i / 7);

  it('come back as they were, the last ones of a name, and leave nothing', async () => {
    const [b, a, other] = [valuesOf(12, 1), valuesOf(20, 2), valuesOf(8, 3)];
    await withFactorFile(folder.path('out.safetensors'), async (file) => {
      await file.put('q', { b: other, a: other });
      await file.put('k', { b: a, a: b });
      await file.put('q', { b, a });
      assert.deepEqual([file.has('q'), file.has('v')], [true, false]);
      assert.deepEqual(await file.take('q'), { b, a });
      assert.deepEqual(await file.take('k'), { b: a, a: b });
      await assert.rejects(file.take('v'), { code: 'engine' });
      assert.equal(readdirSync(folder.path()).length, 1);
    });
    assert.deepEqual(readdirSync(folder.path()), []);
    await assert.rejects(
      withFactorFile(folder.path('out.safetensors'), async () => Promise.reject(new Error('no more'))),
      /no more/,
    );
    assert.deepEqual(readdirSync(folder.path()), []);
  });

  it('say so where there is no room, or no folder', async function () {
    const missing = withFactorFile(folder.path('no/out.safetensors'), async () => assert.fail());
    await assert.rejects(missing, { code: 'write-failed', message: /no such folder/ });
    if (process.platform === 'win32') {
      this.test!.title += ' (a full disk needs ulimit)';
      return;
    }
    const program = `
      import { withFactorFile } from './src/service/truncation/factorFile.ts';
      const b = new Float32Array(1 << 18);
      await withFactorFile(process.argv[1], async (file) => {
        for (let k = 0; k < 8; k++) await file.put('w' + k, { b, a: b });
      }).catch((error) => console.log(error.code, error.message));`;
    const command = 'ulimit -f 2000; exec "$0" --import tsx --input-type=module -e "$1" "$2"';
    const printed = execFileSync('bash', ['-c', command, process.execPath, program, folder.path('x')], {
      encoding: 'utf8',
    });
    assert.match(printed, /^write-failed .*larger than is allowed/);
    assert.deepEqual(readdirSync(folder.path()), []);
  });

  it('become three factors with the same product, zeros included', () => {
    // The second column is zero.
    const b = Float32Array.from([1, 0, 2, 0, 3, 0]);
    const a = Float32Array.from([1, -1, 2, 1, 5, 5, 5, 5]);
    const three = found({ b, a }, 2, 3);
    assert.ok('left' in three);
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 4; j++) {
        let product = 0;
        for (let k = 0; k < 2; k++) product += three.left[i * 2 + k]! * three.values[k]! * three.right[j * 2 + k]!;
        assert.ok(Math.abs(product - b[i * 2]! * a[j]!) < 1e-6);
      }
    assert.ok(Math.abs(Math.hypot(...three.left) - 1) < 1e-6);
    assert.deepEqual(found({ b, a }, 2, 2), { rank: 2, b, a });
  });
});
