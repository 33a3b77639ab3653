import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Session } from '../../../src/window/sessions/session.ts';
import { SideBySide } from '../../../src/window/sessions/sideBySide.ts';
import { inProcess, SAMPLE } from './inProcess.ts';

describe('checkpoints side by side', () => {
  let parts: ReturnType<typeof inProcess>;
  let sessions: Session[];
  let name: string;
  const selected = () => sessions.map((session) => session.snapshot().selected);

  before(async () => {
    parts = inProcess();
    const files = ['a', 'b', 'c'].map((letter) => join(parts.folder, `${letter}.safetensors`));
    for (const file of files) copyFileSync(SAMPLE, file);
    sessions = await Promise.all(files.map((file) => parts.store.load(file)));
    name = sessions[0]?.view?.matrices[2]?.name ?? assert.fail('no matrices');
  });
  after(() => parts.close());

  it('all show the matrix that is selected in one of them', () => {
    const together = new SideBySide();
    const [a, b, c] = sessions as [Session, Session, Session];
    together.put([a, b]);
    const told: unknown[] = [];
    const off = a.updates.on(({ selected: own }) => told.push(own));
    together.select(a, name);
    assert.deepEqual(selected(), [name, name, null]);
    assert.ok(!told.includes(name), 'the page where it was selected is not told');
    off();
    together.put([b, c]);
    together.select(c, a.view?.matrices[0]?.name ?? '');
    assert.deepEqual(selected(), [name, a.view?.matrices[0]?.name, a.view?.matrices[0]?.name]);
    together.select(a, name);
    assert.equal(b.snapshot().selected, a.view?.matrices[0]?.name, 'a stands alone now');
  });
});
