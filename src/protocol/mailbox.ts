import { nextTurn } from '../base/eventLoop.ts';
import { Assembly, cutUp, FRAGMENT_WEIGHT, type Fragment, weigh } from './fragments.ts';

/**
 * What crosses a port in place of a large message. The parts of one message follow each other without other messages in
 * between.
 */
interface Part {
  readonly fragment: Fragment;
  readonly last: boolean;
}

/**
 * Posts messages in order: a small one as it is, a large one in parts. One turn of the event loop posts as much as a
 * part weighs, and the rest waits for the next turns: hundreds of small messages hold up a thread as a large one does.
 * What is counted here holds the loop as briefly on a busy machine as on a quiet one; a time slice would not.
 */
export class Outbox {
  private readonly waiting: { message: unknown; take(sent: unknown): void }[] = [];
  /** What this turn of the event loop may still post. */
  private room = FRAGMENT_WEIGHT;
  private isSending = false;
  private isClosed = false;

  constructor(private readonly post: (message: unknown) => unknown) {}

  /** Settles as the posts of the message do; never where the box is closed before. */
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

  // A small message goes out at once where there is room for it, whether the one before it has arrived or not.
  private goOn(): void {
    for (let [next] = this.waiting; next && !this.isSending; [next] = this.waiting) {
      const { message, take } = next;
      const weight = weigh(message);
      if (weight > this.room && weight <= FRAGMENT_WEIGHT) return;
      this.waiting.shift();
      if (weight <= FRAGMENT_WEIGHT) {
        this.spend(weight);
        take(promised(() => this.post(message)));
      } else {
        this.isSending = true;
        const sent = this.postParts(message).finally(() => {
          this.isSending = false;
          this.goOn();
        });
        take(sent);
      }
    }
  }

  private spend(weight: number): void {
    if (this.room === FRAGMENT_WEIGHT)
      void nextTurn().then(() => {
        this.room = FRAGMENT_WEIGHT;
        this.goOn();
      });
    this.room -= weight;
  }

  private async postParts(message: unknown): Promise<void> {
    const posts: Promise<unknown>[] = [];
    let failure: { readonly error: unknown } | undefined;
    const fragments = cutUp(message);
    for (let current = fragments.next(); !current.done && !this.isClosed; ) {
      const following = fragments.next();
      const part: Part = { fragment: current.value, last: following.done === true };
      const fail = (error: unknown) => (failure ??= { error });
      this.spend(FRAGMENT_WEIGHT);
      posts.push(promised(() => this.post(part)).catch(fail));
      if (!following.done) await nextTurn();
      current = following;
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
