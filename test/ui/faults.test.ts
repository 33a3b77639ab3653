import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { chooseInContextMenu, eventually, webviewPage } from './workbench.ts';

describe('an unreadable file, in the installed extension', function () {
  this.timeout(90_000);
  let vscode: Vscode;

  before(async () => {
    // A header that claims to be 2^40 bytes long in a file of 10.
    const bytes = Buffer.from('\0\0\0\0\0\u0001\0\0{}', 'latin1');
    vscode = await openVscode({
      prepare: (folder) => writeFileSync(join(folder, 'broken.safetensors'), bytes),
    });
  });
  after(async () => {
    await vscode?.close();
    assert.deepEqual(vscode?.pageErrors, []);
  });

  it('is named on the page with what was found and what to do', async () => {
    await chooseInContextMenu(vscode.page, 'broken.safetensors', 'Analyze Weight Ranks');
    const inspector = await webviewPage(vscode.page, 'inspector', 'broken.safetensors');
    const notice = inspector.getByRole('alert');
    await eventually(async () =>
      assert.match(await notice.innerText(), /broken\.safetensors[\s\S]*1,?099,?511,?627,?776/),
    );
    assert.ok(await notice.locator('.remedy').innerText());
    await vscode.screenshot('malformed-file');
  });

  it('opens after it was replaced by a sound one', async () => {
    const bytes = Buffer.alloc(8 + 72 + 16);
    const header = JSON.stringify({ weight: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] } }).padEnd(72);
    bytes.writeBigUInt64LE(72n);
    bytes.write(header, 8);
    for (const [index, value] of [3, 0, 0, 4].entries()) bytes.writeFloatLE(value, 80 + 4 * index);
    writeFileSync(join(vscode.folder, 'broken.safetensors'), bytes);
    await chooseInContextMenu(vscode.page, 'broken.safetensors', 'Analyze Weight Ranks');
    const inspector = await webviewPage(vscode.page, 'inspector', 'broken.safetensors');
    await inspector.locator('dl.facts', { hasText: 'Parameters' }).waitFor();
    assert.equal(await inspector.getByRole('alert').count(), 0);
  });
});
