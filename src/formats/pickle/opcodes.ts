import type { Machine } from './machine.ts';
import { narrow, PickleFault, type PickleReader } from './reader.ts';

/** What an opcode does to the machine. */
export type Step = (machine: Machine, input: PickleReader) => void;

/** By the opcode's byte. pickletools.py of Python's library describes them all. */
export const STEPS: (Step | undefined)[] = [];

function opcode(code: string | number, step: Step): void {
  STEPS[typeof code === 'string' ? code.charCodeAt(0) : code] = step;
}

/** A text of protocol 0 in quotes, as repr() writes it. */
function unquote(text: string): string {
  const inner = /^(['"])(.*)\1$/s.exec(text.trim())?.[2];
  if (inner === undefined) throw new PickleFault('it has a string without quotes');
  return inner.replace(/\\(x[0-9a-f]{2}|n|r|t|\\|'|")/g, (_, code: string) => {
    if (code[0] === 'x') return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return { n: '\n', r: '\r', t: '\t' }[code] ?? code;
  });
}

/** A text of protocol 0 as Python's raw-unicode-escape: Latin-1 with \\u and \\U escapes. */
function rawUnicode(text: string): string {
  return text.replace(/\\(u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})/gi, (_, code: string) =>
    String.fromCodePoint(Number.parseInt(code.slice(1), 16)),
  );
}

function decimal(text: string): number | bigint {
  if (!/^[-+]?\d{1,400}L?$/.test(text.trim())) throw new PickleFault('it has a whole number that is none');
  return narrow(BigInt(text.trim().replace('L', '').replace('+', '')));
}

const memoKey = (text: string) => Number(decimal(text));

// Groups and the stack.
opcode('(', (m) => m.mark());
opcode('0', (m) => m.popOrMark());
opcode('1', (m) => void m.popMark());
opcode('2', (m) => m.push(m.top()));
// Framing changes nothing here: the bytes are at hand.
opcode(0x80, (_, input) => void input.u8());
opcode(0x95, (_, input) => void input.u64());
// Constants and numbers.
opcode('N', (m) => m.push(null));
opcode(0x88, (m) => m.push(true));
opcode(0x89, (m) => m.push(false));
opcode('I', (m, input) => {
  const text = input.line();
  m.push(text === '00' ? false : text === '01' ? true : decimal(text));
});
opcode('L', (m, input) => m.push(decimal(input.line())));
opcode('F', (m, input) => m.push(Number(input.line())));
opcode('J', (m, input) => m.push(input.i32()));
opcode('K', (m, input) => m.push(input.u8()));
opcode('M', (m, input) => m.push(input.u16()));
opcode('G', (m, input) => m.push(input.f64()));
opcode(0x8a, (m, input) => m.push(input.long(input.u8())));
opcode(0x8b, (m, input) => m.push(input.long(input.u32())));
// Texts and bytes.
opcode('S', (m, input) => m.pushText(unquote(input.line('latin1'))));
opcode('T', (m, input) => m.pushText(input.text(input.u32(), 'latin1')));
opcode('U', (m, input) => m.pushText(input.text(input.u8(), 'latin1')));
opcode('V', (m, input) => m.pushText(rawUnicode(input.line('latin1'))));
opcode('X', (m, input) => m.pushText(input.text(input.u32())));
opcode(0x8c, (m, input) => m.pushText(input.text(input.u8())));
opcode(0x8d, (m, input) => m.pushText(input.text(input.u64())));
opcode('B', (m, input) => m.pushText(input.data(input.u32())));
opcode('C', (m, input) => m.pushText(input.data(input.u8())));
opcode(0x8e, (m, input) => m.pushText(input.data(input.u64())));
opcode(0x96, (m, input) => m.pushText(input.data(input.u64())));
// Containers.
opcode(']', (m) => m.pushList('list', []));
opcode(')', (m) => m.pushList('tuple', []));
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
// What would import, call and construct.
opcode('c', (m, input) => m.global(input.line(), input.line()));
opcode(0x93, (m) => {
  const name = m.pop();
  const module = m.pop();
  if (typeof module !== 'string' || typeof name !== 'string')
    throw new PickleFault('it imports a name that is no text');
  m.global(module, name);
});
for (const [code, bytes] of [
  [0x82, 1],
  [0x83, 2],
  [0x84, 4],
] as const)
  opcode(code, (m, input) => m.global('copyreg extension', String(input.long(bytes))));
opcode('i', (m, input) => {
  const [module, name] = [input.line(), input.line()];
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
const callTop = (m: Machine) => {
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
opcode('P', (m, input) => m.persistent(input.line()));
opcode('Q', (m) => m.persistent(m.pop()));
// Buffers beside the pickle: no checkpoint has them, and there is none to take.
opcode(0x97, () => {
  throw new PickleFault('it wants a buffer from outside');
});
opcode(0x98, () => {});
