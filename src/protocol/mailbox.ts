import { yieldEvery } from '../base/eventLoop.ts';
import { Assembly, cutUp, type Fragment } from './fragments.ts';

/** How long sending a large message may hold the thread at a time. */
const SENDING_MS = 3;

/**
 * What crosses a port in place of a large message. The parts of one message follow each other without other messages in
 * between.
 */
interface Part {
  readonly fragment: Fragment;
  readonly last: boolean;
}

/** Posts messages in order. A large one goes out in parts, between which other work gets its turn. */
export class Outbox {
  private readonly waiting: { message: unknown; take(sent: unknown): void }[] = [];
  private isSending = false;
  private isClosed = false;

  constructor(private readonly post: (message: unknown) => unknown) {}

  /** Settles with the posts of the message; never, if the box is closed first. */
  send(message: unknown): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push({ message, take: (sent) => resolve(sent as Promise<void>) });
      this.goOn();
    });
  }

  close(): void {
    this.isClosed = true;
    this.waiting.length = 0;
  }

  // A small message goes out at once, without waiting for the delivery of the one before it.
  private goOn(): void {
    while (!this.isSending) {
      const next = this.waiting.shift();
      if (!next) return;
      const fragments = cutUp(next.message);
      const [first, second] = [fragments.next(), fragments.next()];
      if (first.done || second.done) next.take(promised(() => this.post(next.message)));
      else {
        this.isSending = true;
        const sent = this.postParts(first.value, second, fragments).finally(() => {
          this.isSending = false;
          this.goOn();
        });
        next.take(sent);
      }
    }
  }

  private async postParts(
    first: Fragment,
    second: IteratorResult<Fragment, void>,
    rest: Iterator<Fragment, void>,
  ): Promise<void> {
    const pause = yieldEvery(SENDING_MS);
    const posts: Promise<unknown>[] = [];
    let failure: { readonly error: unknown } | undefined;
    for (let [fragment, next] = [first, second]; !this.isClosed; ) {
      const part: Part = { fragment, last: next.done === true };
      const fail = (error: unknown) => (failure ??= { error });
      posts.push(promised(() => this.post(part)).catch(fail));
      if (next.done) break;
      await pause();
      [fragment, next] = [next.value, rest.next()];
    }
    await Promise.all(posts);
    if (failure) throw failure.error;
  }
}

/** Reassembles large messages. */
export class Inbox {
  private assembly = new Assembly();

  constructor(private readonly deliver: (message: unknown) => void) {}

  receive(message: unknown): void {
    if (!isPart(message)) {
      this.deliver(message);
      return;
    }
    this.assembly.add(message.fragment);
    if (!message.last) return;
    const whole = this.assembly.value;
    this.assembly = new Assembly();
    this.deliver(whole);
  }
}

const isPart = (message: unknown): message is Part =>
  typeof message === 'object' && message !== null && 'fragment' in message;

const promised = async (post: () => unknown): Promise<void> => {
  await post();
};
