import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { summarize } from '../../src/code/rankSummary.ts';
import type { Session } from '../../src/window/sessions/session.ts';
import { analyzedSample, closeAllEditors, eventually, inWorkspace } from './rankscope.ts';

/** What is shown when the pointer is on the end of the first `text` of a document. */
async function hoverOn(document: vscode.TextDocument, text: string): Promise<string> {
  const at = document.getText().indexOf(text);
  assert.ok(at >= 0, `${text} is not in ${document.uri.path}`);
  const position = document.positionAt(at + text.length - 1);
  const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
    'vscode.executeHoverProvider',
    document.uri,
    position,
  );
  return hovers
    .flatMap(({ contents }) => contents)
    .map((content) => (typeof content === 'string' ? content : content.value))
    .filter((content) => /effective|not analyzed yet/.test(content))
    .join('\n');
}

async function eventuallyHover(document: vscode.TextDocument, text: string, expected: string): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await hoverOn(document, text)).includes(expected)) {
    assert.ok(Date.now() < end, `${text} never showed ${expected}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const untitled = (language: string, content: string) => vscode.workspace.openTextDocument({ language, content });

describe('ranks in code', () => {
  let session: Session;
  let model: vscode.TextDocument;
  const median = (module: string) => {
    const values = [...session.findings].filter(({ name }) => name.endsWith(`.${module}.weight`));
    return summarize(values.map(({ effectiveRank }) => effectiveRank))?.median.toFixed(1) ?? assert.fail(module);
  };

  before(async () => {
    session = await analyzedSample();
    model = await vscode.workspace.openTextDocument(inWorkspace('model.py'));
  });
  after(closeAllEditors);

  it('are shown where a layer is defined, with median, picture and links', async () => {
    const text = await hoverOn(model, 'self.q_proj');
    assert.ok(text.includes(median('q_proj')), text);
    assert.match(text, /layers\.\*\.self_attn\.q_proj/);
    assert.match(text, /data:image\/svg\+xml/);
    assert.match(text, /command:rankscope\.reveal\?.*command:rankscope\.setRank\?/s);
  });

  it('are shown where a layer is used and for everything under a module', async () => {
    assert.ok((await hoverOn(model, 'return self.o_proj')).includes(median('o_proj')));
    assert.match(await hoverOn(model, 'return x + self.mlp'), /down_proj.*/s);
  });

  it('are not shown for other attributes and names', async () => {
    for (const text of ['self.heads', 'class Config', 'self.head_size', 'self.theta', 'def forward', 'hidden_size']) {
      assert.equal(await hoverOn(model, text), '', text);
    }
  });

  it('are not shown for a class that the model does not use', async () => {
    const source = 'class Foo(nn.Module):\n    def __init__(self):\n        self.q_proj = nn.Linear(8, 8)\n';
    assert.equal(await hoverOn(await untitled('python', source), 'self.q_proj'), '');
  });

  it('are shown for tensor names in strings and for entries of target_modules', async () => {
    const name = [...session.findings].find((finding) => finding.name.endsWith('q_proj.weight'))?.name ?? assert.fail();
    const python = await untitled('python', `x = "${name}"\nLoraConfig(target_modules=["down_proj"], y=["k_proj"])\n`);
    assert.match(await hoverOn(python, name), /effective/);
    assert.ok((await hoverOn(python, '"down_proj')).includes(median('down_proj')));
    assert.equal(await hoverOn(python, '"k_proj'), '');
    const json = await untitled('json', '{"target_modules": ["v_proj"], "other": "k_proj"}');
    assert.ok((await hoverOn(json, '"v_proj')).includes(median('v_proj')));
    assert.equal(await hoverOn(json, '"k_proj'), '');
    const yaml = await untitled('yaml', 'target_modules:\n  - up_proj\nother: k_proj\n');
    assert.ok((await hoverOn(yaml, 'up_proj')).includes(median('up_proj')));
    assert.equal(await hoverOn(yaml, 'k_proj'), '');
  });

  it('are shown in a notebook with classes in several cells', async () => {
    const classes = model.getText().split(/^(?=class |def |@)/m);
    const cells = classes.map((source) => new vscode.NotebookCellData(vscode.NotebookCellKind.Code, source, 'python'));
    const notebook = await vscode.workspace.openNotebookDocument('jupyter-notebook', new vscode.NotebookData(cells));
    const cell = notebook.getCells().find(({ document }) => document.getText().startsWith('class Attention'));
    assert.ok(cell);
    assert.ok((await hoverOn(cell.document, 'self.q_proj')).includes(median('q_proj')));
  });

  it('are shown for a model that is spread over files', async () => {
    const [head, attention, tail] = model.getText().split(/^(?=class Attention|class MLP)/m);
    assert.ok(head && attention && tail);
    const file = (name: string) => vscode.Uri.file(inWorkspace('split', name));
    const write = (name: string, text: string) => vscode.workspace.fs.writeFile(file(name), Buffer.from(text));
    await write('attention.py', `from torch import nn\n${attention}`);
    await write('whole.py', `${head}from .attention import Attention\n${tail}`);
    const whole = await vscode.workspace.openTextDocument(file('whole.py'));
    assert.match(await hoverOn(whole, 'self.self_attn'), /q_proj/);
    const part = await vscode.workspace.openTextDocument(file('attention.py'));
    // The editor learns of new files by and by; until then the other model of this workspace has that place.
    await eventuallyHover(part, 'self.q_proj', median('q_proj'));
    // The same attributes in a class of its own file, which the model that is there does not use.
    await write('other.py', `from torch import nn\n${attention.replace('class Attention', 'class Other')}`);
    const other = await vscode.workspace.openTextDocument(file('other.py'));
    assert.equal(await hoverOn(other, 'self.q_proj'), '');
    await vscode.workspace.fs.delete(file('.'), { recursive: true });
  });

  it('follow an edit immediately', async () => {
    const document = await untitled('python', model.getText());
    assert.notEqual(await hoverOn(document, 'self.q_proj'), '');
    const edit = new vscode.WorkspaceEdit();
    const at = document.positionAt(document.getText().indexOf('self.q_proj'));
    edit.insert(document.uri, at, 'self.extra = nn.Linear(1, 1)\n        ');
    await vscode.workspace.applyEdit(edit);
    assert.equal(await hoverOn(document, 'self.q_proj'), '', 'the model has a layer now that the checkpoint lacks');
  });

  it('appear above classes and after layers', async () => {
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', model.uri);
    const titles = lenses.map(({ command, range }) => `${model.lineAt(range.start).text} ${command?.title}`);
    assert.ok(
      titles.some((title) => /class Attention.*effective rank \d+ %/.test(title)),
      titles.join('\n'),
    );
    assert.ok(!titles.some((title) => /class Config/.test(title)));
    const all = new vscode.Range(0, 0, model.lineCount, 0);
    const hints = await vscode.commands.executeCommand<vscode.InlayHint[]>(
      'vscode.executeInlayHintProvider',
      model.uri,
      all,
    );
    const labels = hints.map(({ label, position }) => `${model.lineAt(position).text} ${label}`);
    assert.ok(
      labels.some((label) => label.includes('self.q_proj') && label.includes(median('q_proj'))),
      labels.join('\n'),
    );
  });

  it('can be switched off', async () => {
    const settings = vscode.workspace.getConfiguration('rankscope');
    for (const feature of ['hover', 'codeLens', 'inlayHints']) {
      await settings.update(`${feature}.enabled`, false, vscode.ConfigurationTarget.Workspace);
    }
    try {
      assert.equal(await hoverOn(model, 'self.q_proj'), '');
      const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
        'vscode.executeCodeLensProvider',
        model.uri,
      );
      assert.deepEqual(
        lenses.filter(({ command }) => command?.command === 'rankscope.reveal'),
        [],
      );
    } finally {
      for (const feature of ['hover', 'codeLens', 'inlayHints']) {
        await settings.update(`${feature}.enabled`, undefined, vscode.ConfigurationTarget.Workspace);
      }
    }
    await eventually('settings', () => vscode.workspace.getConfiguration('rankscope').get('hover.enabled'));
  });
});
