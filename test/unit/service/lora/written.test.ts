import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';

const SCRIPT = readFileSync(new URL('../../../python/lora_written.py', import.meta.url), 'utf8');
const CLI = fileURLToPath(new URL('../../../../dist/cli.js', import.meta.url));

describe('adapters that are written', function () {
  this.timeout(180_000);
  const folder = testFolder();

  it('are loaded by PEFT and equal what it makes of the same ones: merged, resized, converted, cleaned, added to the base', function () {
    const errors = python(this, ['torch', 'peft', 'safetensors'], SCRIPT, folder.path(), process.execPath, CLI);
    const found = Object.entries(errors as Record<string, number | string>);
    assert.equal(found.length, 19);
    // All is stored in f32; an SVD in f32 loses a few digits more.
    for (const [name, error] of found) assert.ok(typeof error === 'number' && error < 1e-5, `${name}: ${error}`);
  });
});
