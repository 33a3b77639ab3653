import { MAX_PICKLE_STACK, MAX_PICKLE_STEPS, MAX_PICKLE_UNITS } from '../limits.ts';
import { STEPS } from './opcodes.ts';
import { PickleFault, PickleReader } from './reader.ts';
import {
  asKind,
  type CallValue,
  type GlobalValue,
  globalName,
  type ListValue,
  type PersistentValue,
  type Value,
} from './values.ts';

export interface Unpickled {
  readonly value: Value;
  /** Where the pickle ends in the bytes. */
  readonly end: number;
}

/** What was met in a pickle, also where it turns out broken after it. */
export interface Seen {
  /** Every name that Python would import, by its full name. */
  readonly globals: Map<string, GlobalValue>;
  readonly persistents: PersistentValue[];
  /** Calls that would unpickle bytes which are inside this pickle. */
  readonly inlined: CallValue[];
}

/**
 * Reads one pickle (protocols 0 to 5) at `start` as inert data: nothing is imported, called or constructed. Adds to `seen`.
 * @throws PickleFault; PickleEnd where the bytes end first.
 */
export function unpickle(bytes: Uint8Array, start: number, seen: Seen): Unpickled {
  return new Machine(new PickleReader(bytes, start), seen).run();
}

/** The stack, the marks and the memo that opcodes work on; every growth is paid for. */
export class Machine {
  private stack: Value[] = [];
  private readonly marks: number[] = [];
  /** Picklers number what they remember from 0 or 1 on; other keys are possible. */
  private readonly memo: (Value | undefined)[] = [undefined];
  private readonly oddMemo = new Map<number, Value>();
  private remembered = 0;
  private units = 0;
  private steps = 0;

  constructor(
    private readonly input: PickleReader,
    private readonly seen: Seen,
  ) {}

  run(): Unpickled {
    for (;;) {
      const opcode = this.input.u8();
      if (opcode === STOP) return { value: this.pop(), end: this.input.at };
      const step = STEPS[opcode];
      if (!step) throw new PickleFault(`0x${opcode.toString(16)} at ${this.input.at - 1} is no pickle opcode`);
      step(this, this.input);
    }
  }

  push(value: Value): void {
    if (++this.steps > MAX_PICKLE_STEPS) throw new PickleFault(`it has more than ${MAX_PICKLE_STEPS} values`);
    if (this.stack.length >= MAX_PICKLE_STACK) throw new PickleFault(`it stacks more than ${MAX_PICKLE_STACK} values`);
    this.stack.push(value);
  }

  pop(): Value {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw new PickleFault('it takes a value where none is');
    return this.stack.pop()!;
  }

  top(): Value {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw new PickleFault('it takes a value where none is');
    return this.stack.at(-1)!;
  }

  mark(): void {
    this.spend(1);
    this.marks.push(this.stack.length);
  }

  popMark(): Value[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw new PickleFault('it ends a group that never began');
    return this.stack.splice(mark);
  }

  popOrMark(): void {
    if (this.marks.length > 0 && this.stack.length === this.marks.at(-1)) this.marks.pop();
    else this.pop();
  }

  /** A text or bytes. */
  pushText(value: string | Uint8Array): void {
    this.spend(1);
    this.push(value);
  }

  pushList(kind: ListValue['kind'], items: Value[]): void {
    this.spend(2);
    this.push({ kind, items });
  }

  pushDict(flat: readonly Value[]): void {
    this.spend(5);
    const entries = new Map<Value, Value>();
    this.fill(entries, flat);
    this.push({ kind: 'dict', entries });
  }

  append(target: Value, values: readonly Value[]): void {
    const call = asKind(target, 'call');
    if (call) call.items ??= [];
    const list = call ?? (isList(target) ? target : undefined);
    if (!list?.items) throw new PickleFault('it appends to something that is no list');
    for (const value of values) list.items.push(value);
  }

  setItems(target: Value, flat: readonly Value[]): void {
    const call = asKind(target, 'call');
    if (call) call.entries ??= this.newEntries();
    const entries = (call ?? asKind(target, 'dict'))?.entries;
    if (!entries) throw new PickleFault('it sets an item of something that is no dictionary');
    this.fill(entries, flat);
  }

  call(callable: Value, args: Value): void {
    this.spend(2);
    const call: CallValue = { kind: 'call', callable, args };
    if (globalName(callable) === 'torch.storage._load_from_bytes') this.seen.inlined.push(call);
    this.push(call);
  }

  build(): void {
    const state = this.pop();
    const target = asKind(this.top(), 'call');
    if (target) target.state = state;
  }

  global(module: string, name: string): void {
    const full = `${module}.${name}`;
    let global = this.seen.globals.get(full);
    if (!global) {
      this.spend(5);
      global = { kind: 'global', module, name };
      this.seen.globals.set(full, global);
    }
    this.push(global);
  }

  persistent(id: Value): void {
    this.spend(1);
    const persistent: PersistentValue = { kind: 'persistent', id };
    this.seen.persistents.push(persistent);
    this.push(persistent);
  }

  remember(key: number): void {
    this.spend(1);
    if (this.recalled(key) === undefined) this.remembered++;
    if (key === this.memo.length) this.memo.push(this.top());
    else if (key >= 0 && key < this.memo.length) this.memo[key] = this.top();
    else this.oddMemo.set(key, this.top());
  }

  memoize(): void {
    this.remember(this.remembered);
  }

  recall(key: number): void {
    const value = this.recalled(key);
    if (value === undefined) throw new PickleFault(`it recalls memo ${key}, which was never set`);
    this.push(value);
  }

  private fill(entries: Map<Value, Value>, flat: readonly Value[]): void {
    if (flat.length % 2 !== 0) throw new PickleFault('it has a key without a value');
    this.spend(flat.length / 2);
    for (let i = 0; i < flat.length; i += 2) entries.set(flat[i]!, flat[i + 1]!);
  }

  private recalled(key: number): Value | undefined {
    const value = this.memo[key];
    return value === undefined ? this.oddMemo.get(key) : value;
  }

  private newEntries(): Map<Value, Value> {
    this.spend(4);
    return new Map();
  }

  private spend(units: number): void {
    this.units += units;
    if (this.units > MAX_PICKLE_UNITS) throw new PickleFault('it builds more objects than any checkpoint needs');
  }
}

const STOP = 0x2e;

function isList(value: Value): value is ListValue {
  return typeof value === 'object' && value !== null && 'items' in value && value.kind !== 'call';
}
