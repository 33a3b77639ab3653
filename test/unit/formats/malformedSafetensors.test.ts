import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RankscopeError } from '../../../src/base/errors.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { checkpointPath } from './checkpointFiles.ts';

/** What the error for each file must say, apart from naming the file. */
const SAYS: Readonly<Record<string, RegExp>> = {
  'empty.safetensors': /empty/,
  'git_lfs_pointer.safetensors': /Git LFS pointer.*git lfs pull/,
  'html_error_page.safetensors': /web page/,
  'seven_bytes.safetensors': /7 bytes/,
  'real_truncated_60pct.safetensors': /cut off/,
  'real_truncated_in_header.safetensors': /cut off/,
  'invalid_utf8.safetensors': /UTF-8/,
  'identical_offsets.safetensors': /overlaps the one that ends/,
  'huge_offset_2pow53.safetensors': /2\^53|needs/,
  'deep_json.safetensors': /nested|expected/,
  'unknown_dtype.safetensors': /F33/,
};

describe('the files of malformed-safetensors', () => {
  it('accepts and refuses the same malformed files as the reference reader', async function () {
    const folder = checkpointPath(this, 'malformed-safetensors');
    const rows = [
      ...readFileSync(join(folder, 'EXPECTED.md'), 'utf8').matchAll(/^\| (\S+\.safetensors) \| \d+ \| (.*) \|$/gm),
    ];
    assert.equal(rows.length, 50);
    for (const [, name = '', verdict = ''] of rows) {
      const path = join(folder, name);
      const accepted = /^ACCEPTED \((\d+) tensors\)/.exec(verdict);
      try {
        const checkpoint = await openCheckpoint(path);
        await checkpoint.close();
        // It is opened as what it is, in spite of its name, and a remark says so.
        if (name === 'pickle_renamed.safetensors') assert.match(checkpoint.warnings.join(), /pytorch/);
        else assert.equal(checkpoint.tensors.length, Number(accepted?.[1]), `${name}: ${verdict}`);
      } catch (error) {
        assert.ok(error instanceof RankscopeError, `${name}: ${error}`);
        assert.equal(error.subject, path);
        assert.equal(accepted, null, error.message);
        if (SAYS[name]) assert.match(error.message, SAYS[name]);
      }
    }
  });
});
