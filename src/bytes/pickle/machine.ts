import { MAX_PICKLE_STEPS } from '../limits.ts';
import { STEPS } from './opcodes.ts';
import { PickleEnd, PickleFault, type PickleReader } from './reader.ts';
import { MachineState, type Seen } from './state.ts';
import type { Value } from './values.ts';

const STOP = 0x2e;

/*
 * Why our own interpreter. A pickle is a program for Python's unpickler, and running it means importing and calling
 * whatever it names. This machine knows an allow-list of opcodes, each of which only builds inert nodes: a global stays
 * a name, and a call stays the description of a callable and its arguments. Nothing is ever imported, called or
 * constructed, so a hostile pickle can at most describe what it would do, which `security.ts` reports. Each opcode pays
 * for the memory that it takes before taking it, because a few bytes can describe gigabytes.
 */

/** Reads one pickle of protocols 0 to 5 as inert data. */
export class Machine {
  private readonly state: MachineState;
  private steps = 0;

  constructor(seen: Seen) {
    this.state = new MachineState(seen);
  }

  /**
   * Runs the opcodes in `input` up to the end of the pickle and returns the value that it describes. If `input` ends
   * earlier, it is left at the opcode that is cut off, and `run` can be called again with bytes that begin there.
   * @throws PickleFault, PickleEnd, RankscopeError 'too-large'
   */
  run(input: PickleReader): Value {
    for (;;) {
      const start = input.at;
      try {
        const opcode = input.u8();
        if (opcode === STOP) return this.state.pop();
        const step = STEPS[opcode];
        if (!step) throw new PickleFault(`0x${opcode.toString(16)} is not a pickle opcode`);
        if (++this.steps > MAX_PICKLE_STEPS) throw new PickleFault(`it has more than ${MAX_PICKLE_STEPS} opcodes`);
        step(this.state, input);
      } catch (error) {
        if (error instanceof PickleEnd) input.at = start;
        throw error;
      }
    }
  }
}
