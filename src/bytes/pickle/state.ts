import type { Allowance } from '../allowance.ts';
import {
  MAX_GLOBAL_LENGTH,
  MAX_GLOBAL_PARTS,
  MAX_PICKLE_GLOBALS,
  MAX_PICKLE_ODD_KEYS,
  MAX_PICKLE_STACK,
} from '../limits.ts';
import { PickleFault } from './reader.ts';
import {
  asKind,
  type CallValue,
  type Entries,
  type GlobalValue,
  globalName,
  type ListValue,
  type PersistentValue,
  type Value,
} from './values.ts';

/** What the pickles of a file contain, including those that turn out to be broken further on. */
export interface Seen {
  /** Pays for the memory of all of them. */
  readonly allowance: Allowance;
  /** Everything that Python would import, by its full name. */
  readonly globals: Map<string, GlobalValue>;
  readonly persistents: PersistentValue[];
  /** Calls that would unpickle bytes inside this pickle. */
  readonly inlined: CallValue[];
  /** Names whose attributes Python would change, by their full name: a way to replace one function by another. */
  readonly changed: Map<string, GlobalValue>;
  /** Whether there are pickles beyond the limits of a scan, of which nothing else is seen. */
  hasUnscanned: boolean;
}

/** What has been seen before anything is read; `allowance` pays for all that follows. */
export function nothingSeen(allowance: Allowance): Seen {
  return { allowance, globals: new Map(), persistents: [], inlined: [], changed: new Map(), hasUnscanned: false };
}

/** Memory in bytes that V8 takes for the values of a pickle. A slot includes the spare capacity of a growing array. */
const BYTES = {
  slot: 20,
  number: 16,
  text: 32,
  list: 88,
  /** The first item that is appended allocates room for more. */
  firstItem: 152,
  /** An entry of a dictionary, including the memory that `pairsOf` takes for it. */
  entry: 96,
  call: 96,
  persistent: 64,
  global: 400,
} as const;

/** The stack, the marks and the memo that opcodes work on. Everything that grows is paid for from the allowance. */
export class MachineState {
  private stack: Value[] = [];
  private highest = 0;
  private readonly marks: number[] = [];
  /** Indexed by key, because picklers number what they remember from 0 or 1 on. Other keys are possible. */
  private readonly memo: (Value | undefined)[] = [undefined];
  private readonly oddMemo = new Map<number, Value>();
  private remembered = 0;

  constructor(private readonly seen: Seen) {}

  push(value: Value): void {
    if (this.stack.length >= this.highest) {
      if (this.stack.length >= MAX_PICKLE_STACK)
        throw new PickleFault(`its stack has more than ${MAX_PICKLE_STACK} values`);
      this.highest++;
      this.spend(BYTES.slot);
    }
    this.stack.push(value);
  }

  pop(): Value {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw new PickleFault('it pops a value from an empty stack');
    return this.stack.pop()!;
  }

  top(): Value {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw new PickleFault('it pops a value from an empty stack');
    return this.stack.at(-1)!;
  }

  mark(): void {
    this.spend(BYTES.slot);
    this.marks.push(this.stack.length);
  }

  popMark(): Value[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw new PickleFault('it ends a group that it never began');
    this.spend(BYTES.slot * (this.stack.length - mark));
    return this.stack.splice(mark);
  }

  popOrMark(): void {
    if (this.marks.length > 0 && this.stack.length === this.marks.at(-1)) this.marks.pop();
    else this.pop();
  }

  pushNumber(value: number | bigint): void {
    this.spend(typeof value === 'bigint' ? BYTES.number + 128 : BYTES.number);
    this.push(value);
  }

  /** Pushes the text that `decode` makes of these bytes, which may take two bytes for each. */
  pushText(bytes: Buffer, decode: (bytes: Buffer) => string): void {
    this.spend(BYTES.text + 2 * bytes.length);
    this.push(decode(bytes));
  }

  /** Pushes bytes, copied unless they are most of the buffer that a view would keep in memory. */
  pushBytes(bytes: Buffer): void {
    this.spend(3 * BYTES.list + bytes.length);
    this.push(2 * bytes.length > bytes.buffer.byteLength ? bytes : new Uint8Array(bytes));
  }

  pushList(kind: ListValue['kind'], items: Value[]): void {
    this.spend(BYTES.list);
    this.push({ kind, items });
  }

  pushDict(flat: readonly Value[]): void {
    this.spend(BYTES.list);
    const entries: Entries = [];
    this.fill(entries, flat);
    this.push({ kind: 'dict', entries });
  }

  append(target: Value, values: readonly Value[]): void {
    const call = asKind(target, 'call');
    if (call) call.items ??= [];
    const items = call?.items ?? changeableItems(target);
    if (!items) throw new PickleFault('it appends to something that is not a list');
    this.spend(BYTES.slot * values.length + (items.length === 0 ? BYTES.firstItem : 0));
    for (const value of values) items.push(value);
  }

  setItems(target: Value, flat: readonly Value[]): void {
    const call = asKind(target, 'call');
    if (call) call.entries ??= [];
    const entries = (call ?? asKind(target, 'dict'))?.entries;
    if (!entries) throw new PickleFault('it sets an item of something that is not a dictionary');
    this.fill(entries, flat);
  }

  call(callable: Value, args: Value): void {
    this.spend(BYTES.call);
    const call: CallValue = { kind: 'call', callable, args };
    if (globalName(callable) === 'torch.storage._load_from_bytes') this.seen.inlined.push(call);
    this.push(call);
  }

  build(): void {
    const state = this.pop();
    const target = asKind(this.top(), 'call');
    if (target) target.state = state;
    const global = asKind(this.top(), 'global');
    if (global) this.seen.changed.set(`${global.module}.${global.name}`, global);
  }

  global(module: string, name: string): void {
    const full = `${module}.${name}`;
    let global = this.seen.globals.get(full);
    if (!global) {
      if (this.seen.globals.size >= MAX_PICKLE_GLOBALS)
        throw new PickleFault(`it imports more than ${MAX_PICKLE_GLOBALS} names`);
      if (full.length > MAX_GLOBAL_LENGTH || name.split('.').length > MAX_GLOBAL_PARTS)
        throw new PickleFault('it imports an implausibly long name');
      this.spend(BYTES.global + 4 * full.length);
      global = { kind: 'global', module, name };
      this.seen.globals.set(full, global);
    }
    this.push(global);
  }

  persistent(id: Value): void {
    this.spend(BYTES.persistent);
    const persistent: PersistentValue = { kind: 'persistent', id };
    this.seen.persistents.push(persistent);
    this.push(persistent);
  }

  remember(key: number): void {
    const value = this.top();
    if (this.recalled(key) === undefined) this.remembered++;
    if (key >= 0 && key < this.memo.length) this.memo[key] = value;
    else if (key === this.memo.length) {
      this.spend(BYTES.slot);
      this.memo.push(value);
    } else {
      if (this.oddMemo.size >= MAX_PICKLE_ODD_KEYS)
        throw new PickleFault('it remembers too many values under scattered keys');
      this.oddMemo.set(key, value);
    }
  }

  memoize(): void {
    this.remember(this.remembered);
  }

  recall(key: number): void {
    const value = this.recalled(key);
    if (value === undefined) throw new PickleFault(`it recalls memo ${key}, which was never set`);
    this.push(value);
  }

  private fill(entries: Entries, flat: readonly Value[]): void {
    if (flat.length % 2 !== 0) throw new PickleFault('it has a key without a value');
    this.spend((BYTES.entry * flat.length) / 2 + (entries.length === 0 && flat.length > 0 ? BYTES.firstItem : 0));
    for (const value of flat) entries.push(value);
  }

  private recalled(key: number): Value | undefined {
    const value = this.memo[key];
    return value === undefined ? this.oddMemo.get(key) : value;
  }

  private spend(bytes: number): void {
    this.seen.allowance.spend(bytes);
  }
}

/** The items of a list or set, which can be appended to. */
function changeableItems(value: Value): Value[] | undefined {
  return typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    (value.kind === 'list' || value.kind === 'set')
    ? value.items
    : undefined;
}
