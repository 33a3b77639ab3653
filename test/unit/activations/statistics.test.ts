import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { openStatistics } from '../../../src/activations/openStatistics.ts';
import { testFolder } from '../formats/folder.ts';
import { f32s, ggufBytes, u32 } from '../formats/gguf/ggufBytes.ts';
import { python } from '../formats/python.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { f32 } from '../formats/storedFile.ts';
import { imatrixDatFile, imatrixGgufFile, statisticsFile, type TestGroup } from './statisticsBytes.ts';

const GROUPS: readonly TestGroup[] = [
  {
    name: 'layers.0.q_proj',
    matrices: { 'layers.0.q_proj.weight': [4, 2], 'layers.0.k_proj.weight': [1, 2] },
    r: [3, 1, 0, 2],
    tokens: 7,
  },
  { name: 'layers.0.o_proj', matrices: { 'layers.0.o_proj.weight': [2, 1] }, r: [5], tokens: 3 },
];
const ENTRIES = [
  { name: 'blk.0.attn_q.weight', sums: [[4, 9, 16]], counts: [512] },
  {
    name: 'blk.0.ffn_up_exps.weight',
    sums: [
      [1, 4, 9],
      [0, 0, 0],
    ],
    counts: [300, 0],
  },
];

describe('a file of statistics', () => {
  const folder = testFolder();

  const read = async (path: string) => {
    const statistics = await openStatistics(path);
    try {
      const entries = [];
      for (const entry of statistics.entries) {
        const values = new Float32Array(entry.length);
        await entry.read(0, values);
        entries.push({ name: entry.name, shape: entry.shape, values: [...values], tokens: entry.tokens(0) });
      }
      return { summary: statistics.summary, entries, second: statistics.entries[1]!.tokens(1) };
    } finally {
      await statistics.close();
    }
  };

  it('gives R and the tokens of every matrix of a group', async () => {
    const path = folder.write('tiny.activations.safetensors', statisticsFile(GROUPS));
    const { summary, entries } = await read(path);
    assert.deepEqual(summary, { path, kind: 'full', text: 'text.txt', model: 'tiny', producer: 'a test', tokens: 7 });
    assert.deepEqual(entries, [
      { name: 'layers.0.q_proj.weight', shape: [4, 2], values: [3, 1, 0, 2], tokens: 7 },
      { name: 'layers.0.k_proj.weight', shape: [1, 2], values: [3, 1, 0, 2], tokens: 7 },
      { name: 'layers.0.o_proj.weight', shape: [2, 1], values: [5], tokens: 3 },
    ]);
  });

  it('of llama.cpp has sums of squares, in GGUF with the tokens of each expert', async () => {
    const { summary, entries, second } = await read(folder.write('imatrix.gguf', imatrixGgufFile(ENTRIES)));
    assert.equal(summary.kind, 'diagonal');
    assert.equal(summary.text, 'wiki.train.raw');
    assert.equal(summary.tokens, 512);
    assert.deepEqual(
      entries.map(({ name, values, tokens }) => ({ name, values, tokens })),
      [
        { name: 'blk.0.attn_q.weight', values: [4, 9, 16], tokens: 512 },
        { name: 'blk.0.ffn_up_exps.weight', values: [1, 4, 9, 0, 0, 0], tokens: 300 },
      ],
    );
    assert.equal(second, 0);
  });

  it("of llama.cpp's older format has mean squares, with or without the text's name", async () => {
    for (const dataset of ['wiki.train.raw', null]) {
      const { summary, entries } = await read(folder.write('imatrix.dat', imatrixDatFile(ENTRIES, dataset)));
      assert.equal(summary.text, dataset);
      assert.equal(summary.tokens, null);
      assert.deepEqual(
        entries[0]!.values,
        [4, 9, 16].map((sum) => Math.fround((sum / 512) * 4)),
      );
      assert.equal(entries[1]!.values.length, 6);
    }
  });

  it("written by llama.cpp's own Python library is read", async function () {
    const path = folder.path('made.gguf');
    const script = readFileSync('test/python/make_imatrix.py', 'utf8');
    python(this, ['gguf', 'numpy'], script, path, JSON.stringify(ENTRIES));
    const { summary, entries } = await read(path);
    assert.equal(summary.text, 'wiki.train.raw');
    assert.deepEqual(
      entries.map(({ values }) => values),
      ENTRIES.map(({ sums }) => sums.flat()),
    );
  });

  it('is refused with what contradicts its description', async () => {
    const refused = async (bytes: Uint8Array, ...patterns: RegExp[]) =>
      rejectsWith(openStatistics(folder.write('x.activations.safetensors', bytes)), 'malformed', ...patterns);
    const [first, second] = GROUPS as [TestGroup, TestGroup];
    await refused(statisticsFile([{ ...first, r: [1, 2, 3, 4, 5, 6, 7, 8, 9] }]), /q_proj\.R .*\[3, 3\].*\[2, 2\]/);
    await refused(statisticsFile([{ ...first, tokens: -1 }]), /tokens is -1/);
    await refused(statisticsFile([first, { ...second, name: first.name }]), /twice/);
    await refused(statisticsFile([first, { ...second, matrices: first.matrices, r: first.r }]), /two groups list/);
    await refused(statisticsFile([{ ...first, matrices: {} }]), /rankscope\.groups/);
    await refused(statisticsFile([{ ...first, matrices: { a: [2, 2], b: [2, 3] } }]), /rankscope\.groups/);
    await refused(statisticsFile(GROUPS, { 'rankscope.groups': '[' }), /JSON/);
    await refused(statisticsFile(GROUPS, { 'rankscope.groups': `${'['.repeat(500)}${']'.repeat(500)}` }), /nested/);
    await refused(statisticsFile(GROUPS, { 'rankscope.groups': '{"name": "a"}' }), /no list/);
    await refused(statisticsFile(GROUPS, {}, { 'layers.0.q_proj.tokens': f32([], [7]) }), /F32.*expected/);
    await refused(statisticsFile(GROUPS).subarray(0, -4));
  });

  it('is refused if it is something else', async () => {
    const open = (name: string, bytes: Uint8Array) => openStatistics(folder.write(name, bytes));
    await rejectsWith(open('a.safetensors', f32File({ w: { shape: [1], values: [1] } })), 'wrong-use', /calibrate/);
    const other = statisticsFile(GROUPS, { 'rankscope.format': 'rankscope.activations/9' });
    await rejectsWith(open('b.safetensors', other), 'wrong-use', /activations\/9/);
    const model = ggufBytes({ tensors: [{ name: 'a', dimensions: [1], type: 0, data: f32s(1) }] });
    await rejectsWith(open('c.gguf', model), 'wrong-use', /no imatrix/);
    await rejectsWith(open('d.txt', Buffer.from('once upon a time there was a text')), 'malformed', /no imatrix/);
    await rejectsWith(open('e', Buffer.alloc(0)), 'malformed', /ends at byte 0/);
    await rejectsWith(openStatistics(folder.path('missing')), 'not-found');
    await rejectsWith(openStatistics(folder.path()), 'unreadable');
  });

  it('of llama.cpp is refused where its numbers contradict its size', async () => {
    const whole = imatrixDatFile(ENTRIES);
    const open = (bytes: Uint8Array) => openStatistics(folder.write('x.dat', bytes));
    for (const length of [3, 6, 20, 40, 60, whole.length - 1])
      await rejectsWith(open(whole.subarray(0, length)), 'malformed');
    await rejectsWith(open(Buffer.concat([whole, Buffer.alloc(3)])), 'malformed', /3 bytes follow/);
    for (const [at, value] of [
      [0, 0],
      [0, 0xffffffff],
      [4, 0x7fffffff],
      [4, 0xffffffff],
      [4 + 4 + 19 + 4, 0x7fffffff],
      [4 + 4 + 19 + 4, 0],
    ] as const)
      await rejectsWith(open(Buffer.concat([whole.subarray(0, at), u32(value), whole.subarray(at + 4)])), 'malformed');
    const twice = imatrixDatFile([ENTRIES[0]!, ENTRIES[0]!]);
    await rejectsWith(open(twice), 'malformed', /two entries/);
    const counts = (own: number[]) =>
      openStatistics(folder.write('x.gguf', imatrixGgufFile([{ ...ENTRIES[0]!, counts: own }])));
    await rejectsWith(counts([1, 2]), 'malformed', /3 values for 2 counts/);
    await rejectsWith(counts([Number.NaN]), 'malformed', /NaN/);
    await rejectsWith(counts([-1]), 'malformed', /-1/);
  });
});
