import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { delimiter, join } from 'node:path';
import * as vscode from 'vscode';
import type { Evaluation } from '../../src/model/evaluation.ts';
import type { ScriptReport } from '../../src/protocol/service.ts';
import { closeAllEditors, eventually, inWorkspace, rankscope } from './rankscope.ts';

/** In the place of Python with torch: notes its words, and writes the result that lies beside the script. */
const STAND_IN = `#!/bin/sh
printf '%s\\n' "$@" > "$1.words"
cp "$1.result" "$1.partial"
mv "$1.partial" "\${1%.evaluate.py}.evaluation.json"
`;

describe('measuring with Python', function () {
  this.timeout(240_000);
  const model = inWorkspace('model.safetensors');
  const searchPath = process.env.PATH;
  let folder: string;
  let text: string;
  before(async () => {
    folder = join(mkdtempSync(join(os.tmpdir(), 'rankscope-python-')), `it's "a" [folder] & $HOME`);
    mkdirSync(join(folder, 'bin'), { recursive: true });
    for (const name of ['python3', 'python']) {
      writeFileSync(join(folder, 'bin', name), STAND_IN);
      chmodSync(join(folder, 'bin', name), 0o755);
    }
    process.env.PATH = `${join(folder, 'bin')}${delimiter}${searchPath}`;
    text = (await rankscope()).context.asAbsolutePath('test/fixtures/texts/stories.txt');
  });
  after(async () => {
    process.env.PATH = searchPath;
    await vscode.commands.executeCommand('notifications.clearAll');
    await closeAllEditors();
    rmSync(join(folder, '..'), { recursive: true, force: true });
  });

  const command = (kind: string, target: object) =>
    vscode.commands.executeCommand<ScriptReport | undefined>(
      `rankscope.${kind}WithPython`,
      vscode.Uri.file(model),
      target,
    );

  it('writes a script, shows it, and runs nothing before it is asked to', async () => {
    const code = join(folder, 'sample.evaluate.py');
    const report = await command('measure', { text, ranks: [16, 24], code });
    assert.deepEqual(report, { code, out: join(folder, 'sample.evaluation.json') });
    const script = readFileSync(code, 'utf8');
    assert.match(script, /^RANKS = \[16, 24\]$/m);
    assert.ok(script.includes(JSON.stringify(text)));
    assert.equal(vscode.window.activeTextEditor?.document.fileName, code);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(!existsSync(`${code}.words`), 'the script ran');
  });

  it('inserts low-rank layers behind the imports of the Python file in the editor, or writes them', async () => {
    const file = join(folder, 'net.py');
    writeFileSync(file, 'from torch import nn\n\nlayer = nn.Linear(4, 4)\n');
    await vscode.window.showTextDocument(vscode.Uri.file(file));
    const insert = (target: object) => vscode.commands.executeCommand<vscode.Uri>('rankscope.insertLayers', target);
    assert.equal((await insert({ layers: 'two', file: 'editor' })).fsPath, file);
    const text = vscode.window.activeTextEditor!.document.getText();
    const at = (part: string) => text.indexOf(part);
    assert.ok(
      at('from torch import nn') < at('class LowRankLinear(') && at('class LowRankLinear(') < at('layer = nn.'),
    );
    await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
    const written = join(folder, 'layers.py');
    await insert({ layers: 'three', file: vscode.Uri.file(written) });
    assert.match(readFileSync(written, 'utf8'), /^class SVDLinear\(/m);
    assert.equal(vscode.window.activeTextEditor?.document.fileName, written);
  });

  it('writes a script that collects activations as well', async () => {
    const code = join(folder, 'sample.calibrate.py');
    const report = await command('collect', { text, code });
    assert.equal(report?.out, join(folder, 'sample.activations.safetensors'));
    assert.match(readFileSync(code, 'utf8'), /rankscope\.activations\/1/);
  });

  it('writes a script that compresses as well', async () => {
    const code = join(folder, 'sample.compress.py');
    const report = await command('compress', { text, keep: 0.7, code });
    assert.equal(report?.out, join(folder, 'sample.compressed.safetensors'));
    assert.match(readFileSync(code, 'utf8'), /^KEEP = 0\.7$/m);
  });

  it('runs a script in a terminal on request, and offers to show the result once it is written', async function () {
    if (process.platform === 'win32') this.skip();
    const { evaluations } = await rankscope();
    const code = join(folder, 'other.evaluate.py');
    writeFileSync(`${code}.result`, JSON.stringify(resultOf('/elsewhere/with-python')));
    await vscode.commands.executeCommand('notifications.clearAll');
    const report = await command('measure', { text, ranks: [16], code, run: true });
    await eventually('the result', () => existsSync(report!.out), 100_000);
    assert.deepEqual(readFileSync(`${code}.words`, 'utf8').split('\n'), [code, '']);
    await eventually('its offer', () => {
      void vscode.commands.executeCommand('notification.acceptPrimaryAction');
      return evaluations.get('/elsewhere/with-python').snapshot().evaluations.length === 1;
    });
    const [run] = evaluations.get('/elsewhere/with-python').snapshot().evaluations;
    assert.equal(run!.source, 'transformers');
  });
});

function resultOf(path: string): Evaluation {
  const score = { perplexity: Math.exp(2), loss: 2, lossError: 0.1 };
  return {
    format: 'rankscope.evaluation/1',
    source: 'transformers',
    checkpoint: { path, format: 'safetensors', parameters: 1000, bytes: 4000 },
    text: {
      name: 'stories.txt',
      tokens: 300,
      windows: 2,
      context: 128,
      scored: 254,
      dropped: 44,
      startToken: null,
      tokenizer: 'a tokenizer of transformers',
    },
    dense: score,
    variants: [],
    engine: { name: 'transformers 5.24.0', device: 'cpu', threads: 2, reason: 'torch 2.15.0 on cpu, in torch.float32' },
    seconds: 1,
    notes: [],
  };
}
