import type { TextStream } from '../../network/tokenizer/decoding/textStream.ts';
import type { StepProgress } from '../../protocol/service.ts';

/** Characters of the text that a message shows. */
const SHOWN = 60;

/** Counts the steps of a generation: reading a network counts as much as all of its tokens. */
export class GenerationProgress {
  private finished = 0;

  constructor(
    private readonly networks: number,
    private readonly tokens: number,
    private readonly report: ((value: StepProgress) => void) | undefined,
  ) {}

  reading(name: string, share: number): void {
    this.tell(share * this.tokens, `Reading ${name}`);
  }

  /** A function that takes each new token of the network `name`. */
  continuing(name: string, stream: TextStream | undefined): (id: number) => void {
    let count = 0;
    let text = '';
    return (id) => {
      count++;
      text += stream?.push(id) ?? '';
      const shown = text.length > SHOWN ? `…${text.slice(-SHOWN)}` : text;
      this.tell(this.tokens + count, stream ? `${name}: ${shown}` : `${name}: token ${count}`);
    };
  }

  /** A network is done with, however many tokens it gave. */
  finish(): void {
    this.finished++;
  }

  private tell(steps: number, message: string): void {
    const each = 2 * this.tokens;
    this.report?.({ done: Math.floor(this.finished * each + steps), total: this.networks * each, message });
  }
}
