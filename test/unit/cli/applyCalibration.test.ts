import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { testFolder } from '../formats/folder.ts';
import { writeDecoder } from '../network/decoders.ts';
import { caseOf, idsOf } from '../service/compress/smallModel.ts';
import { run } from './run.ts';

describe('rankscope apply --calibration', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);

  it('tells a text from statistics, and prints what was used and what is lost on the inputs', async () => {
    const path = writeDecoder(folder.path('model'), caseOf('llama'));
    const [plan, out] = [folder.path('plan.json'), folder.path('small.safetensors')];
    const ids = folder.write('ids.json', JSON.stringify(idsOf(200)));
    const made = await cli('plan', path, '--rank', '8', '--out', plan);
    assert.equal(made.code, 0, made.stderr);
    const apply = (...more: string[]) =>
      cli('apply', path, '--plan', plan, '--out', out, '--no-smoke-test', '--force', '--engine', 'wasm', ...more);
    const text = await apply('--ids', ids, '--context', '20', '--tokens', '40');
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /matrix +rank +predicted error +measured error +error of W X/);
    assert.match(text.stdout, /compressed network: ids\.json, 40 tokens in 2 windows of 20, ridge 0\.1/);
    assert.match(text.stdout, /Fewer tokens than columns: 2 matrices \(.*: 40 of 48\)/);

    const file = folder.path('x.activations.safetensors');
    const collected = await cli('calibrate', path, '--ids', ids, '--context', '20', '--out', file);
    assert.equal(collected.code, 0, collected.stderr);
    const statistics = await apply('--calibration', file, '--json');
    const { calibration, matrices } = JSON.parse(statistics.stdout) as ApplyReport;
    assert.deepEqual([calibration!.kind, calibration!.tokens, calibration!.text], ['full', 200, null]);
    assert.ok(matrices.every(({ inputError }) => inputError! > 0));

    for (const [wrong, pattern] of [
      [['--calibration', file, '--ids', ids], /exactly one of --calibration and --ids/],
      [['--context', '20'], /exactly one of --calibration and --ids/],
    ] as const) {
      const { code, stderr } = await apply(...wrong);
      assert.deepEqual([code, pattern.test(stderr)], [2, true], stderr);
    }
  });

  it('never replaces the text or the statistics that apply and plan read', async () => {
    const path = writeDecoder(folder.path('model'), caseOf('llama'));
    const [plan, out] = [folder.path('plan.json'), folder.path('new.safetensors')];
    const ids = folder.write('ids.json', JSON.stringify(idsOf(200)));
    assert.equal((await cli('plan', path, '--rank', '8', '--out', plan, '--force')).code, 0);
    const apply = ['apply', path, '--plan', plan, '--force'];
    for (const words of [
      [...apply, '--ids', ids, '--out', ids],
      [...apply, '--ids', ids, '--out', out, '--code', ids],
      [...apply, '--calibration', ids, '--out', ids],
      ['plan', path, '--keep', '0.5', '--ids', ids, '--out', ids, '--force'],
      ['plan', path, '--keep', '0.5', '--activations', ids, '--out', ids, '--force'],
    ]) {
      const { code, stderr } = await cli(...words);
      assert.deepEqual([code, /ids\.json: this is the (source itself|input file)/.test(stderr)], [2, true], stderr);
    }
    assert.deepEqual(JSON.parse(readFileSync(ids, 'utf8')), idsOf(200));
  });
});
