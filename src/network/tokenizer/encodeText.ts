import { throwIfCancelled } from '../../base/errors.ts';
import { nextTurn } from '../../base/eventLoop.ts';
import type { EncodeOptions, Stages } from './tokenizer.ts';
import { withinTime } from './withinTime.ts';

/** How long a step of the work runs before it yields. */
const STEP_MS = 20;

/** The pieces between two looks at the clock. */
const PIECES_AT_ONCE = 64;

/** The ids of `text`, computed in steps between which a cancellation takes effect. `file` names the tokenizer. */
export async function encodeText(file: string, stages: Stages, text: string, options: EncodeOptions = {}) {
  const { signal, onProgress, specialTokens = false } = options;
  throwIfCancelled(signal, file);
  const wellFormed = text.replace(/\p{Surrogate}/gu, '\uFFFD');
  const ids = new IdList();
  const work = encodeSteps(stages, wellFormed, specialTokens, ids);
  let done = 0;
  for (let last = false; !last; ) {
    withinTime(file, () => {
      const end = performance.now() + STEP_MS;
      for (let count = 0; !last && (count % PIECES_AT_ONCE !== 0 || performance.now() < end); count++) {
        const step = work.next();
        last = step.done === true;
        if (!step.done) done += step.value;
      }
    });
    if (last) break;
    onProgress?.(Math.min(1, done / wellFormed.length));
    await nextTurn();
    throwIfCancelled(signal, file);
  }
  onProgress?.(1);
  return ids.all();
}

/** Encodes piece by piece and yields the length of each. */
function* encodeSteps(stages: Stages, text: string, special: boolean, ids: IdList): Generator<number> {
  let [first, afterToken] = [true, false];
  const place = () => {
    const here = { first, afterToken };
    [first, afterToken] = [false, false];
    return here;
  };
  const token = (id: number) => {
    ids.add([id]);
    [first, afterToken] = [false, true];
  };
  for (const section of stages.splitAdded(text, false, special)) {
    if (typeof section === 'number') {
      token(section);
      continue;
    }
    for (const part of stages.splitAdded(stages.normalize(section), true, special)) {
      if (typeof part === 'number') {
        token(part);
        continue;
      }
      for (const piece of stages.cut(part, place())) {
        ids.add(stages.encodePiece(piece));
        yield piece.length;
      }
    }
  }
}

/** A growing list of ids. */
class IdList {
  private ids = new Int32Array(1024);
  private length = 0;

  add(more: ArrayLike<number>): void {
    if (this.length + more.length > this.ids.length) {
      const wider = new Int32Array(2 * (this.length + more.length));
      wider.set(this.ids);
      this.ids = wider;
    }
    this.ids.set(more, this.length);
    this.length += more.length;
  }

  all(): Int32Array {
    return this.ids.slice(0, this.length);
  }
}
