import { MAX_GLOBAL_LENGTH } from '../limits.ts';
import { decimal, rawUnicode, unquoted } from './lineText.ts';
import { PickleFault, type PickleReader } from './reader.ts';
import type { MachineState } from './state.ts';
import { EMPTY_TUPLE } from './values.ts';

/**
 * The effect of an opcode. It reads its arguments first, because it is repeated with more bytes if they are cut off.
 */
export type Step = (machine: MachineState, input: PickleReader) => void;

/** Indexed by the byte of the opcode. pickletools.py in Python's library describes them all. */
export const STEPS: (Step | undefined)[] = [];

function opcode(code: string | number, step: Step): void {
  STEPS[typeof code === 'string' ? code.charCodeAt(0) : code] = step;
}

const memoKey = (line: Buffer) => Number(decimal(line));

const latin1 = (bytes: Buffer) => bytes.toString('latin1');
const utf8 = (bytes: Buffer) => bytes.toString('utf8');

// Groups and the stack.
opcode('(', (m) => m.mark());
opcode('0', (m) => m.popOrMark());
opcode('1', (m) => void m.popMark());
opcode('2', (m) => m.push(m.top()));
// Framing has no effect, because the bytes are already available.
opcode(0x80, (_, input) => void input.u8());
opcode(0x95, (_, input) => void input.u64());
// Constants and numbers.
opcode('N', (m) => m.push(null));
opcode(0x88, (m) => m.push(true));
opcode(0x89, (m) => m.push(false));
opcode('I', (m, input) => {
  const line = input.line();
  const text = line.length === 2 ? line.toString('latin1') : '';
  m.push(text === '00' ? false : text === '01' ? true : decimal(line));
});
opcode('L', (m, input) => m.pushNumber(decimal(input.line())));
opcode('F', (m, input) => m.pushNumber(Number(input.line().toString('latin1', 0, 400))));
opcode('J', (m, input) => m.push(input.i32()));
opcode('K', (m, input) => m.push(input.u8()));
opcode('M', (m, input) => m.push(input.u16()));
opcode('G', (m, input) => m.pushNumber(input.f64()));
opcode(0x8a, (m, input) => m.pushNumber(input.long(input.u8())));
opcode(0x8b, (m, input) => m.pushNumber(input.long(input.u32())));
// Texts and bytes.
opcode('S', (m, input) => m.pushText(input.line(), unquoted));
opcode('T', (m, input) => m.pushText(input.data(input.u32()), latin1));
opcode('U', (m, input) => m.pushText(input.data(input.u8()), latin1));
opcode('V', (m, input) => m.pushText(input.line(), rawUnicode));
opcode('X', (m, input) => m.pushText(input.data(input.u32()), utf8));
opcode(0x8c, (m, input) => m.pushText(input.data(input.u8()), utf8));
opcode(0x8d, (m, input) => m.pushText(input.data(input.u64()), utf8));
opcode('B', (m, input) => m.pushBytes(input.data(input.u32())));
opcode('C', (m, input) => m.pushBytes(input.data(input.u8())));
opcode(0x8e, (m, input) => m.pushBytes(input.data(input.u64())));
opcode(0x96, (m, input) => m.pushBytes(input.data(input.u64())));
// Containers.
opcode(']', (m) => m.pushList('list', []));
opcode(')', (m) => m.push(EMPTY_TUPLE));
opcode('}', (m) => m.pushDict([]));
opcode(0x8f, (m) => m.pushList('set', []));
opcode('l', (m) => m.pushList('list', m.popMark()));
opcode('t', (m) => m.pushList('tuple', m.popMark()));
opcode('d', (m) => m.pushDict(m.popMark()));
opcode(0x91, (m) => m.pushList('set', m.popMark()));
for (const length of [1, 2, 3])
  opcode(0x84 + length, (m) => {
    const items = Array.from({ length }, () => m.pop());
    m.pushList('tuple', items.reverse());
  });
opcode('a', (m) => {
  const value = m.pop();
  m.append(m.top(), [value]);
});
const appendAll: Step = (m) => {
  const values = m.popMark();
  m.append(m.top(), values);
};
opcode('e', appendAll);
opcode(0x90, appendAll);
opcode('s', (m) => {
  const value = m.pop();
  const key = m.pop();
  m.setItems(m.top(), [key, value]);
});
opcode('u', (m) => {
  const flat = m.popMark();
  m.setItems(m.top(), flat);
});
// The memo.
opcode('p', (m, input) => m.remember(memoKey(input.line())));
opcode('q', (m, input) => m.remember(input.u8()));
opcode('r', (m, input) => m.remember(input.u32()));
opcode(0x94, (m) => m.memoize());
opcode('g', (m, input) => m.recall(memoKey(input.line())));
opcode('h', (m, input) => m.recall(input.u8()));
opcode('j', (m, input) => m.recall(input.u32()));
// Opcodes that would import, call or construct something.
function twoLines(input: PickleReader): [module: string, name: string] {
  const [module, name] = [input.line(), input.line()];
  if (module.length + name.length > MAX_GLOBAL_LENGTH) throw new PickleFault('it imports an implausibly long name');
  return [utf8(module), utf8(name)];
}
opcode('c', (m, input) => m.global(...twoLines(input)));
opcode(0x93, (m) => {
  const name = m.pop();
  const module = m.pop();
  if (typeof module !== 'string' || typeof name !== 'string')
    throw new PickleFault('it imports a name that is not a string');
  m.global(module, name);
});
for (const [code, bytes] of [
  [0x82, 1],
  [0x83, 2],
  [0x84, 4],
] as const)
  opcode(code, (m, input) => m.global('copyreg extension', String(input.long(bytes))));
opcode('i', (m, input) => {
  const [module, name] = twoLines(input);
  const args = m.popMark();
  m.global(module, name);
  const callable = m.pop();
  m.pushList('tuple', args);
  m.call(callable, m.pop());
});
opcode('o', (m) => {
  const [callable, ...args] = m.popMark();
  if (callable === undefined) throw new PickleFault('it constructs nothing');
  m.pushList('tuple', args);
  m.call(callable, m.pop());
});
const callTop = (m: MachineState) => {
  const args = m.pop();
  m.call(m.pop(), args);
};
opcode('R', callTop);
opcode(0x81, callTop);
opcode(0x92, (m) => {
  m.pop();
  callTop(m);
});
opcode('b', (m) => m.build());
opcode('P', (m, input) => {
  m.pushText(input.line(), utf8);
  m.persistent(m.pop());
});
opcode('Q', (m) => m.persistent(m.pop()));
// Out-of-band buffers: no checkpoint has them.
opcode(0x97, () => {
  throw new PickleFault('it needs an out-of-band buffer');
});
opcode(0x98, () => {});
