import type { Rows } from '../operations/rows.ts';
import type { Run } from '../operations/run.ts';

type Observe = NonNullable<Run['observe']>;

/** Rows before the layers that read them. */
export interface Arrival {
  readonly inputs: Rows;
  /** Names of the layers. */
  readonly layers: readonly string[];
}

/** Thrown into a pass that is dropped. */
const DROPPED = new Error('The pass was dropped');

/**
 * A pass of some rows that stops before each group of layers, so that these can be replaced by what the rows say. While
 * it stops, its matrices stay in device memory; one that is dropped instead begins again when it is to go on.
 */
export class SteppedPass<Result> {
  private ended: Promise<Result> | undefined;
  private release: (() => void) | undefined;
  private drop: (() => void) | undefined;
  private arrived: ((arrival: Arrival) => void) | undefined;
  /** Groups that the pass has come to, and those that it need not stop at. */
  private steps = 0;
  private skipped = 0;

  /** @param begin starts the pass; it awaits `observe` before each group. */
  constructor(private readonly begin: (observe: Observe) => Promise<Result>) {}

  /** Goes on to the next group; undefined at the end. */
  async next(): Promise<Arrival | undefined> {
    const arrival = new Promise<Arrival>((resolve) => {
      this.arrived = resolve;
    });
    if (this.release) this.release();
    else {
      [this.skipped, this.steps] = [this.steps, 0];
      this.ended = this.begin(this.observe);
    }
    const found = await Promise.race([arrival, this.ended!.then(() => undefined)]);
    return found;
  }

  /** Frees what the pass holds; `next` begins it again and stops before the group behind the last one. */
  async stop(): Promise<void> {
    const { drop, ended } = this;
    this.release = undefined;
    this.drop = undefined;
    drop?.();
    await ended?.catch(() => undefined);
  }

  /** Goes on to the end. */
  async result(): Promise<Result> {
    while (await this.next());
    return this.ended!;
  }

  private readonly observe: Observe = async (inputs, layers) => {
    this.steps++;
    if (this.steps <= this.skipped) return;
    const going = new Promise<void>((resolve, reject) => {
      this.release = resolve;
      this.drop = () => reject(DROPPED);
    });
    this.arrived!({ inputs, layers: layers.map(({ name }) => name) });
    await going;
  };
}
