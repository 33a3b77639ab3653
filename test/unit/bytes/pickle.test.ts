import assert from 'node:assert/strict';
import { RankscopeError } from '../../../src/base/errors.ts';
import { Allowance } from '../../../src/bytes/allowance.ts';
import { Machine } from '../../../src/bytes/pickle/machine.ts';
import { PickleFault, PickleReader } from '../../../src/bytes/pickle/reader.ts';
import { nothingSeen, type Seen } from '../../../src/bytes/pickle/state.ts';
import { asKind, itemsOf, pairsOf, type Value } from '../../../src/bytes/pickle/values.ts';
import { op, pickle } from '../formats/pickleBytes.ts';
import { python } from '../formats/python.ts';

function load(bytes: Uint8Array): { value: Value; seen: Seen } {
  const seen = nothingSeen(new Allowance('a.pkl'));
  return { value: new Machine(seen).run(new PickleReader(bytes)), seen };
}

/** The value of a pickle as plain JSON. */
function plain(value: Value): unknown {
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return value;
  if (value.kind === 'dict') return { dict: pairsOf(value.entries).map((pair) => pair.map(plain)) };
  if (value.kind === 'global') return { global: `${value.module}.${value.name}` };
  if (value.kind === 'call')
    return {
      call: plain(value.callable),
      args: plain(value.args),
      ...(value.state === undefined ? {} : { state: plain(value.state) }),
      ...(value.items ? { items: value.items.map(plain) } : {}),
      ...(value.entries ? { entries: pairsOf(value.entries).map((pair) => pair.map(plain)) } : {}),
    };
  if (value.kind === 'persistent') return { persistent: plain(value.id) };
  return { [value.kind]: value.items.map(plain) };
}

describe('the pickle machine', () => {
  it('reads the pickles of every protocol that Python writes', function () {
    const script = `
import base64, collections, json, pickle
value = {"none": None, "true": True, "false": False, "ints": [0, 255, 65535, -1, 2**31, -2**40, 2**70], "float": 1.5,
    "text": "a\\u00e9\\n'\\"\\\\", "bytes": b"\\x00\\xff", "tuple": (1, (2, 3), (4, 5, 6), (7, 8, 9, 10)), "empty": [[], (), {}],
    "ordered": collections.OrderedDict(a=1), "long": list(range(3000)), "complex": 1j}
value["again"] = value["tuple"]
print(json.dumps([base64.b64encode(pickle.dumps(value, protocol)).decode() for protocol in range(6)]))`;
    const pickles = python(this, ['pickle'], script) as string[];
    const values = pickles.map((base64) => load(Buffer.from(base64, 'base64')));
    for (const [protocol, { value }] of values.entries()) {
      const entries = new Map(pairsOf(asKind(value, 'dict')!.entries));
      const at = (key: string) => plain(entries.get(key)!);
      assert.deepEqual(at('ints'), { list: [0, 255, 65535, -1, 2 ** 31, -(2 ** 40), `${2n ** 70n}n`] }, `${protocol}`);
      assert.deepEqual([at('none'), at('true'), at('false'), at('float')], [null, true, false, 1.5]);
      const text = 'a\u00e9\n\'"\\';
      assert.equal(at('text'), text, `protocol ${protocol}`);
      if (protocol >= 3) assert.deepEqual(at('bytes'), { bytes: [0, 255] });
      assert.deepEqual(at('empty'), { list: [{ list: [] }, { tuple: [] }, { dict: [] }] });
      assert.equal(entries.get('again'), entries.get('tuple'));
      assert.equal(itemsOf(entries.get('long'))?.length, 3000);
      assert.equal(itemsOf(entries.get('long'))?.at(-1), 2999);
    }
  });

  it('keeps calls as data', () => {
    const { value, seen } = load(pickle(op.call('os', 'system', op.text('id')), op.dictOf({ a: op.none }), op.build));
    assert.deepEqual(plain(value), {
      call: { global: 'os.system' },
      args: { tuple: ['id'] },
      state: { dict: [['a', null]] },
    });
    assert.deepEqual([...seen.globals.keys()], ['os.system']);
  });

  it('recalls values from the memo under any key, including None', () => {
    const remembered = [op.none, op.put(5), op.text('a'), op.put(0), op.text('b'), op.put(1), op.text('c'), op.put(0)];
    const { value } = load(pickle(op.tupleOf(...remembered, op.get(5), op.get(0), op.get(1))));
    assert.deepEqual(plain(value), { tuple: [null, 'a', 'b', 'c', null, 'c', 'b'] });
  });

  it('represents cycles as cycles', () => {
    const { value } = load(pickle(op.emptyList, op.put(0), op.get(0), op.append));
    assert.equal(itemsOf(value)?.[0], value);
  });

  const broken: Record<string, Uint8Array> = {
    'an unknown opcode': pickle(Buffer.from([0xff])),
    'a stack without values': pickle(op.reduce),
    'a group without a mark': pickle(op.none, op.tuple),
    'a value taken from below a mark': pickle(op.none, op.mark, op.emptyList, op.append),
    'a memo that was never set': pickle(op.get(7)),
    'setting an item of a number': pickle(op.int(1), op.int(2), op.int(3), op.setItem),
    'a key without a value': pickle(op.emptyDict, op.mark, op.none, op.setItems),
    'a missing end': op.none,
    'a text longer than the file': Buffer.from('X\xff\xff\xff\x7fabc.', 'latin1'),
    'a text of 2^63 bytes': Buffer.from([0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x2e]),
    'an integer of 2^31 bytes': Buffer.from([0x8b, 0xff, 0xff, 0xff, 0x7f, 0x2e]),
    'an import whose name is a number': pickle(op.int(1), op.int(2), Buffer.from([0x93])),
    'an out-of-band buffer': pickle(Buffer.from([0x97])),
  };
  for (const [what, bytes] of Object.entries(broken))
    it(`refuses ${what}`, () => assert.throws(() => load(bytes), PickleFault));

  const bombs: Record<string, Uint8Array> = {
    'a list in a list, a million deep': pickle(
      Buffer.concat(Array<Buffer>(1_000_000).fill(op.emptyList)),
      Buffer.alloc(999_999, 'a'),
    ),
    'a million marks': pickle(Buffer.alloc(1_000_000, '('), op.none),
    'a billion laughs': pickle(
      op.emptyList,
      op.put(0),
      ...Array.from({ length: 100 }, (_, i) => [
        op.emptyList,
        op.put(i + 1),
        op.mark,
        ...Array<Buffer>(10).fill(op.get(i)),
        op.appends,
      ]).flat(),
    ),
    '30 million values on the stack': pickle(op.none, Buffer.alloc(30_000_000, '2')),
    '30 million dictionaries': pickle(op.mark, Buffer.alloc(30_000_000, '}'), op.tuple),
  };
  for (const [what, bytes] of Object.entries(bombs))
    it(`stays within its bounds for ${what}`, () => {
      const start = process.cpuUsage();
      try {
        load(bytes);
      } catch (error) {
        assert.ok(error instanceof PickleFault || (error instanceof RankscopeError && error.code === 'too-large'));
      }
      const { user, system } = process.cpuUsage(start);
      assert.ok(user + system < 2e6, `${(user + system) / 1e6} s`);
    });
});
