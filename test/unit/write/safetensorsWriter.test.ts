import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type ErrorCode, RankscopeError } from '../../../src/base/errors.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { type SafetensorsOptions, type TensorToWrite, writeSafetensors } from '../../../src/write/safetensorsWriter.ts';
import { scratchFolder } from './written.ts';

const bytes = (
  name: string,
  content: Uint8Array,
  dtype = 'U8',
  shape: readonly number[] = [content.length],
): TensorToWrite => ({
  name,
  dtype,
  shape,
  bytes: content.length,
  async *content() {
    yield content.subarray(0, 3);
    yield content.subarray(3);
  },
});

const fails = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof RankscopeError && error.code === code && text.test(error.message);

describe('writing safetensors', () => {
  const root = scratchFolder();
  let count = 0;
  const folder = () => {
    const made = join(root, `case-${count++}`);
    mkdirSync(made);
    return made;
  };
  const write = (out: string, more: Partial<SafetensorsOptions> = {}) =>
    writeSafetensors({
      out,
      tensors: [bytes('a', Uint8Array.of(1, 2, 3, 4))],
      metadata: new Map([['k', 'v']]),
      sources: [],
      overwrite: false,
      ...more,
    });

  it('reads back what was written, including arbitrary names and metadata', async () => {
    const out = join(folder(), 'x.safetensors');
    const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((name) => name !== '__metadata__');
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(text, fc.uint8Array({ maxLength: 40 })), { selector: ([name]) => name, maxLength: 8 }),
        fc.dictionary(text, fc.string()),
        async (contents, metadata) => {
          const tensors = [
            ...contents.map(([name, content]) => bytes(name, content)),
            bytes('__proto__', Uint8Array.of(7)),
          ];
          const distinct = tensors.filter(({ name }, k) => tensors.findIndex((other) => other.name === name) === k);
          const size = await write(out, {
            tensors: distinct,
            metadata: new Map(Object.entries(metadata)),
            overwrite: true,
          });
          assert.equal(readFileSync(out).length, size);
          const checkpoint = await openCheckpoint(out);
          assert.deepEqual(new Map(checkpoint.metadata), new Map(Object.entries(metadata)));
          for (const [k, tensor] of checkpoint.tensors.entries()) {
            assert.equal(tensor.name, distinct[k]!.name);
            const pieces = [];
            for await (const piece of distinct[k]!.content()) pieces.push(piece);
            assert.deepEqual(
              Buffer.from((await tensor.readStored!(0, new Uint8Array(tensor.bytes)))!),
              Buffer.concat(pieces),
            );
          }
          await checkpoint.close();
        },
      ),
      { seed: 1, numRuns: 40 },
    );
  });

  it('puts wider types first, so that every tensor is aligned', async () => {
    const out = join(folder(), 'x.safetensors');
    await write(out, {
      tensors: [
        bytes('byte', Uint8Array.of(1)),
        bytes('half', Uint8Array.of(1, 2), 'BF16', [1]),
        bytes('eight', new Uint8Array(8), 'F64', [1]),
        bytes('flag', Uint8Array.of(1), 'BOOL'),
        bytes('small', Uint8Array.of(1), 'F8_E4M3'),
        bytes('four', new Uint8Array(4), 'F32', [1]),
      ],
    });
    const content = readFileSync(out);
    const length = Number(content.readBigUInt64LE());
    assert.equal(length % 8, 0);
    const header = JSON.parse(content.subarray(8, 8 + length).toString()) as Record<string, { data_offsets: number[] }>;
    const begins = ['eight', 'four', 'half', 'byte', 'flag', 'small'].map((name) => header[name]!.data_offsets[0]);
    assert.deepEqual(begins, [0, 8, 12, 14, 15, 16]);
  });

  it('leaves nothing behind but the file itself', async () => {
    const place = folder();
    await write(join(place, 'x.safetensors'));
    assert.deepEqual(readdirSync(place), ['x.safetensors']);
  });

  it('refuses an existing file unless told to overwrite, and a folder always', async () => {
    const place = folder();
    const out = join(place, 'x.safetensors');
    writeFileSync(out, 'mine');
    await assert.rejects(write(out), fails('wrong-use', /x\.safetensors.*there is a file of this name.*overwriting/));
    assert.equal(readFileSync(out, 'utf8'), 'mine');
    await write(out, { overwrite: true });
    assert.notEqual(readFileSync(out, 'utf8'), 'mine');
    await assert.rejects(write(place, { overwrite: true }), fails('wrong-use', /a folder has this name/));
    assert.deepEqual(readdirSync(place), ['x.safetensors']);
  });

  it('does not replace a file that was created in the meantime', async () => {
    const place = folder();
    const out = join(place, 'x.safetensors');
    const slow: TensorToWrite = {
      ...bytes('a', Uint8Array.of(1)),
      async *content() {
        writeFileSync(out, 'theirs');
        yield Uint8Array.of(1);
      },
    };
    await assert.rejects(write(out, { tensors: [slow] }), fails('wrong-use', /there is a file/));
    assert.deepEqual(readdirSync(place), ['x.safetensors']);
    assert.equal(readFileSync(out, 'utf8'), 'theirs');
  });

  it('refuses to overwrite the source, by any name or link', async () => {
    const place = folder();
    const source = join(place, 'model.safetensors');
    const content = 'the source';
    writeFileSync(source, content);
    mkdirSync(join(place, 'sub'));
    symlinkSync(source, join(place, 'link.safetensors'));
    linkSync(source, join(place, 'hard.safetensors'));
    symlinkSync(place, join(place, 'sub', 'back'));
    const names = [
      'model.safetensors',
      './sub/../model.safetensors',
      'link.safetensors',
      'hard.safetensors',
      'sub/back/model.safetensors',
    ];
    for (const name of names) {
      const out = `${place}/${name}`;
      for (const sources of [[source], [join(place, 'link.safetensors')]])
        await assert.rejects(
          write(out, { sources, overwrite: true }),
          fails('wrong-use', /the source itself.*another name/),
        );
    }
    assert.equal(readFileSync(source, 'utf8'), content);
    assert.equal(readdirSync(place).length, 4);
  });

  it('writes through a link to its target', async () => {
    const place = folder();
    writeFileSync(join(place, 'real.safetensors'), 'old');
    symlinkSync('real.safetensors', join(place, 'link.safetensors'));
    const size = await write(join(place, 'link.safetensors'), { overwrite: true });
    assert.equal(readFileSync(join(place, 'real.safetensors')).length, size);
  });

  it('leaves the old file and nothing else after a failure or cancellation', async () => {
    const place = folder();
    const out = join(place, 'x.safetensors');
    writeFileSync(out, 'old');
    const controller = new AbortController();
    const tensor = (act: () => void): TensorToWrite => ({
      ...bytes('b', new Uint8Array(10)),
      async *content() {
        yield new Uint8Array(5);
        assert.equal(readdirSync(place).length, 2, 'the new file is beside the target meanwhile');
        act();
        yield new Uint8Array(5);
      },
    });
    const tensors = (act: () => void) => [bytes('a', Uint8Array.of(1)), tensor(act)];
    const { signal } = controller;
    await assert.rejects(
      write(out, { overwrite: true, signal, tensors: tensors(() => controller.abort()) }),
      fails('cancelled', /x\.safetensors/),
    );
    await assert.rejects(
      write(out, {
        overwrite: true,
        tensors: tensors(() => {
          throw new Error('broken');
        }),
      }),
      /broken/,
    );
    await assert.rejects(
      write(out, { overwrite: true, tensors: [{ ...bytes('short', Uint8Array.of(1)), bytes: 2 }] }),
      fails('engine', /short: 1 bytes instead of 2/),
    );
    assert.deepEqual(readdirSync(place), ['x.safetensors']);
    assert.equal(readFileSync(out, 'utf8'), 'old');
  });

  it('refuses two tensors with the same name', async () => {
    const out = join(folder(), 'x.safetensors');
    const twice = [bytes('a', Uint8Array.of(1)), bytes('a', Uint8Array.of(1))];
    await assert.rejects(write(out, { tensors: twice }), fails('unsupported', /two tensors would be named a/));
  });

  it('says what to do if it cannot write', async () => {
    const place = folder();
    writeFileSync(join(place, 'file'), '');
    await assert.rejects(write(join(place, 'no/x')), fails('write-failed', /no such folder.*Make the folder/));
    await assert.rejects(write(join(place, 'file/x')), fails('write-failed', /a part of the path is a file/));
    await assert.rejects(write(join(place, 'x'.repeat(240))), fails('write-failed', /the name is too long/));
  });

  it('says that a folder is read-only', async function () {
    if (process.platform !== 'linux') {
      this.test!.title += ' (needs a folder nobody may write to: /sys of Linux)';
      this.skip();
    }
    await assert.rejects(write('/sys/x.safetensors'), fails('write-failed', /(permission|read-only).*Choose a folder/));
  });

  it('refuses before any work if the disk has no room', async () => {
    const huge: TensorToWrite = {
      ...bytes('a', Uint8Array.of(1)),
      bytes: 2 ** 52,
      content: () => assert.fail('work was done'),
    };
    const place = folder();
    await assert.rejects(
      write(join(place, 'x'), { tensors: [huge] }),
      fails('write-failed', /4,504 TB are needed and .* are free.*Free space/),
    );
    assert.deepEqual(readdirSync(place), []);
  });

  it('removes what it wrote if it reaches a size limit midway', function () {
    if (process.platform === 'win32') {
      this.test!.title += ' (needs ulimit)';
      this.skip();
    }
    const place = folder();
    const program = `
      import { writeSafetensors } from './src/write/safetensorsWriter.ts';
      const piece = new Uint8Array(1 << 20);
      const content = async function* () { for (let k = 0; k < 8; k++) yield piece; };
      const tensors = [{ name: 'a', dtype: 'U8', shape: [8 << 20], bytes: 8 << 20, content }];
      await writeSafetensors({ out: process.argv[1], tensors, metadata: new Map(), sources: [], overwrite: false })
        .catch((error) => console.log(error.code, error.message));`;
    const command = 'ulimit -f 2000; exec "$0" --import tsx --input-type=module -e "$1" "$2"';
    const printed = execFileSync('bash', ['-c', command, process.execPath, program, join(place, 'x')], {
      encoding: 'utf8',
    });
    assert.match(printed, /^write-failed .*larger than is allowed/);
    assert.deepEqual(readdirSync(place), []);
  });
});
