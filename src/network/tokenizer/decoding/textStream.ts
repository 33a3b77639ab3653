import type { Tokenizer } from '../tokenizer.ts';

/**
 * The text of tokens that come one at a time. A character whose bytes are spread over several tokens is held back until
 * it is complete, and what was given out is never taken back.
 */
export class TextStream {
  private readonly ids: number[];
  private given: string;

  /** @param before The ids that precede the stream: whether a space leads the first token depends on them. */
  constructor(
    private readonly tokenizer: Pick<Tokenizer, 'decode'>,
    before: Iterable<number> = [],
  ) {
    this.ids = [...before];
    this.given = tokenizer.decode(this.ids);
  }

  /** The text that this token completes, which may be none. */
  push(id: number): string {
    this.ids.push(id);
    const text = this.tokenizer.decode(this.ids);
    return text.endsWith('\uFFFD') ? '' : this.give(text);
  }

  /** What was held back: characters that never became complete. */
  end(): string {
    return this.give(this.tokenizer.decode(this.ids));
  }

  private give(text: string): string {
    if (!text.startsWith(this.given)) return '';
    const more = text.slice(this.given.length);
    this.given = text;
    return more;
  }
}
