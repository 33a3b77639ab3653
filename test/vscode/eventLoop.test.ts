import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { type HostRecord, recordHost } from './hostProfile.ts';
import { writeManyMatrices } from './manyMatrices.ts';
import { closeAllEditors, eventually, inWorkspace, rankscope } from './rankscope.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Characters of one message as JSON. A finding takes some 700: the 2,000 of a checkpoint in one message would be 1.4
 * million. A part of a large message holds a thousand values at most.
 */
const MAX_MESSAGE = 40_000;
/**
 * What one turn of the event loop may send: a part to each of the thread that reads code and the pages, and small
 * messages.
 */
const MAX_SENT = 80_000;
/**
 * Processor time without a pause. It is some 12 ms on a quiet machine and more on a busy one: only a freeze is told by
 * it.
 */
const MAX_HELD_MS = 150;

/** What the host does while `file` is opened and analyzed, with the model's code, the tree and the plan in view. */
async function recordedRun(file: string): Promise<HostRecord> {
  const { engine, store } = await rankscope();
  await engine.service.clearCache({});
  await store.forget(file);
  await vscode.commands.executeCommand('rankscope.checkpoints.focus');
  const code = await vscode.workspace.openTextDocument(inWorkspace('model.py'));
  await vscode.window.showTextDocument(code, { viewColumn: vscode.ViewColumn.Two });
  await vscode.commands.executeCommand('workbench.action.focusFirstEditorGroup');
  const recording = await recordHost();
  await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.file(file));
  const { status } = await eventually('the end of the run', () => ended(store.get(file).run), 120_000);
  assert.equal(status, 'done');
  // What follows a run: the findings are kept, the tree, the plan and the code are drawn again.
  await pause(1500);
  return recording.stop();
}

const ended = <Run extends { status: string }>(run: Run) => !['idle', 'running'].includes(run.status) && run;

describe('the event loop of the extension host', () => {
  /** The host before this extension has anything to do: what VS Code and the machine make of it alone. */
  let idle: HostRecord;

  before(async () => {
    const recording = await recordHost();
    await pause(2000);
    idle = await recording.stop();
  });
  afterEach(closeAllEditors);

  const check = ({ own, traffic, ...delays }: HostRecord) => {
    const { messages, largest, mostInTurn } = traffic;
    const [longest] = own;
    const held = `held for ${longest?.ms.toFixed(1)} ms by ${longest?.where}`;
    const crossed = `${messages} messages of at most ${largest} characters, at most ${mostInTurn} sent in a turn`;
    console.log(`[suite]       ${crossed}; ${held.slice(0, 120)}`);
    console.log(
      `[suite]       timer, median, 99 %, longest: ${describeDelays(delays)} ms; idle: ${describeDelays(idle)} ms`,
    );
    assert.ok(own.length > 0 && messages > 10, 'nothing of this extension was seen at work');
    assert.ok(largest < MAX_MESSAGE && mostInTurn < MAX_SENT, crossed);
    assert.ok(longest!.ms < MAX_HELD_MS, held);
  };

  it('is not held by a run, whose messages cross in small parts', async () => {
    check(await recordedRun(inWorkspace('model.safetensors')));
  });

  it('is not held longer by a checkpoint of 2,000 matrices', async function () {
    this.timeout(180_000);
    const file = inWorkspace('many.safetensors');
    await writeManyMatrices(file, 290);
    try {
      check(await recordedRun(file));
    } finally {
      await closeAllEditors();
      await (await rankscope()).store.forget(file);
      await vscode.workspace.fs.delete(vscode.Uri.file(file));
    }
  });
});

const describeDelays = ({ usual, rare, longest }: Pick<HostRecord, 'usual' | 'rare' | 'longest'>): string =>
  [usual, rare, longest].map((ms) => ms.toFixed(1)).join(', ');
