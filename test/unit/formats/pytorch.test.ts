import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { testFolder } from './folder.ts';
import { legacyFile, op, pickle, tensor } from './pickleBytes.ts';
import { python } from './python.ts';
import { readAll, withCheckpoint } from './readAll.ts';
import { rejectsWith } from './rejectsWith.ts';
import { tarFile } from './tarBytes.ts';
import { torchZip, zipBytes } from './zipBytes.ts';

const SIX = [1, 2, 3, 4, 5, 6];
const MATRIX = tensor({ length: 6, shape: [2, 3], strides: [3, 1] });

describe('PyTorch files', () => {
  const folder = testFolder();
  const write = (bytes: Uint8Array, name = 'model.pt') => folder.write(name, bytes);
  const valuesOf = (path: string) => withCheckpoint(path, readAll);

  it('reads zip archives, stored and deflated, and legacy streams', async () => {
    const object = pickle(op.dictOf({ weight: MATRIX }));
    for (const bytes of [
      torchZip(object, { 0: SIX }),
      torchZip(object, { 0: SIX }, 6),
      legacyFile(op.dictOf({ weight: MATRIX }), { 0: SIX }),
    ])
      assert.deepEqual(await valuesOf(write(bytes)), { weight: SIX });
  });

  it('reads views by their strides and offsets', async () => {
    const object = op.dictOf({
      transposed: tensor({ length: 6, shape: [3, 2], strides: [1, 3] }),
      column: tensor({ length: 6, shape: [2], strides: [3], offset: 1 }),
      tail: tensor({ length: 6, shape: [2], strides: [1], offset: 4 }),
      cube: tensor({ length: 6, shape: [1, 2, 3], strides: [77, 1, 2] }),
      scalar: tensor({ length: 6, shape: [], strides: [], offset: 5 }),
      none: tensor({ length: 6, shape: [0, 3], strides: [3, 1], offset: 6 }),
    });
    const expected = {
      transposed: [1, 4, 2, 5, 3, 6],
      column: [2, 5],
      tail: [5, 6],
      cube: [1, 3, 5, 2, 4, 6],
      scalar: [6],
      none: [],
    };
    assert.deepEqual(await valuesOf(write(torchZip(pickle(object), { 0: SIX }))), expected);
    assert.deepEqual(await valuesOf(write(legacyFile(object, { 0: SIX }))), expected);
  });

  it('reads any range of a transposed tensor, but offers no stored bytes of it', async () => {
    const [rows, cols] = [37, 53];
    const values = Array.from({ length: rows * cols }, (_, i) => i);
    const object = pickle(op.dictOf({ t: tensor({ length: rows * cols, shape: [cols, rows], strides: [1, cols] }) }));
    await withCheckpoint(write(torchZip(object, { 0: values })), async (checkpoint) => {
      const t = checkpoint.tensors[0]!;
      const whole = Array.from({ length: rows * cols }, (_, i) => (i % rows) * cols + Math.floor(i / rows));
      for (const [start, length] of [
        [0, rows * cols],
        [0, 1],
        [rows * 3, rows],
        [rows * 5 + 7, 3],
        [rows * cols - 40, 40],
      ] as const) {
        const out = new Float32Array(length);
        await t.read(start, out);
        assert.deepEqual([...out], whole.slice(start, start + length), `${start} ${length}`);
      }
      assert.equal(t.readStored?.(0, new Uint8Array(4)), undefined);
    });
  });

  it('gives tied tensors the same storage', () =>
    withCheckpoint(write(torchZip(pickle(op.dictOf({ a: MATRIX, b: MATRIX })), { 0: SIX })), ({ tensors }) => {
      assert.equal(tensors[0]?.storage, tensors[1]?.storage);
    }));

  it('leaves out an optimizer and the path to the weights, and says so', async () => {
    const optimizer = op.dictOf({ state: op.dictOf({ exp_avg: MATRIX }), param_groups: op.emptyList });
    const object = op.dictOf({
      model: op.dictOf({ 'module.a.weight': MATRIX, 'module.b': MATRIX }),
      optimizer,
      epoch: op.int(3),
    });
    await withCheckpoint(write(torchZip(pickle(object), { 0: SIX })), ({ tensors, warnings }) => {
      assert.deepEqual(
        tensors.map(({ name }) => name),
        ['a.weight', 'b'],
      );
      assert.match(warnings.join('\n'), /under "model".*"module\.".*optimizer \(1 tensors\)/s);
    });
  });

  it('keeps the names of a model and its moving average distinct', async () => {
    const object = op.dictOf({ model: op.dictOf({ a: MATRIX }), params_ema: op.dictOf({ a: MATRIX }) });
    await withCheckpoint(write(torchZip(pickle(object), { 0: SIX })), ({ tensors }) =>
      assert.deepEqual(
        tensors.map(({ name }) => name),
        ['model.a', 'params_ema.a'],
      ),
    );
  });

  it('reads lists and whole modules', async () => {
    const list = Buffer.concat([op.emptyList, op.mark, MATRIX, MATRIX, op.appends]);
    assert.deepEqual(Object.keys(await valuesOf(write(torchZip(pickle(list), { 0: SIX })))), ['0', '1']);
    const module = (state: Uint8Array) =>
      Buffer.concat([op.global('my.code', 'Net'), op.emptyTuple, op.newObject, state, op.build]);
    const inner = module(op.dictOf({ _parameters: op.dictOf({ weight: MATRIX }), _modules: op.dictOf({}) }));
    const outer = module(
      op.dictOf({ training: op.none, _parameters: op.dictOf({}), _modules: op.dictOf({ model: inner }) }),
    );
    await withCheckpoint(write(torchZip(pickle(outer), { 0: SIX })), ({ tensors, security }) => {
      assert.deepEqual(
        tensors.map(({ name }) => name),
        ['model.weight'],
      );
      assert.deepEqual(
        security.map(({ grade, subject }) => [grade, subject]),
        [['unknown', 'my.code.Net']],
      );
    });
  });

  it('terminates on cyclic and deeply nested objects', async () => {
    const cycle = Buffer.concat([
      op.emptyDict,
      op.put(0),
      op.text('me'),
      op.get(0),
      op.setItem,
      op.text('w'),
      MATRIX,
      op.setItem,
    ]);
    assert.deepEqual(Object.keys(await valuesOf(write(torchZip(pickle(cycle), { 0: SIX })))), ['w']);
    const deep = Buffer.concat([
      ...Array<Buffer>(1000).fill(Buffer.concat([op.emptyDict, op.text('d')])),
      op.none,
      Buffer.alloc(1000, 's'),
    ]);
    const object = pickle(op.dictOf({ deep, w: MATRIX }));
    await withCheckpoint(write(torchZip(object, { 0: SIX })), ({ warnings }) =>
      assert.match(warnings.join(), /deeper than/),
    );
  });

  it('leaves out views that repeat elements, whatever size they claim', () =>
    withCheckpoint(
      write(
        torchZip(
          pickle(op.dictOf({ w: MATRIX, huge: tensor({ length: 6, shape: [2 ** 30, 2 ** 20], strides: [0, 0] }) })),
          {
            0: SIX,
          },
        ),
      ),
      ({ tensors, warnings }) => {
        assert.equal(tensors.length, 1);
        assert.match(warnings.join(), /1 tensors whose elements overlap/);
      },
    ));

  const refused: Record<string, readonly [bytes: () => Uint8Array, says: RegExp]> = {
    'a tensor beyond its storage': [
      () => torchZip(pickle(op.dictOf({ w: tensor({ length: 6, shape: [7], strides: [1] }) })), { 0: SIX }),
      /"w" of shape \[7\] extends beyond its storage of 24 bytes/,
    ],
    'a missing storage': [() => torchZip(pickle(op.dictOf({ w: MATRIX })), {}), /storage "0", which is missing/],
    'a legacy storage that is cut off': [
      () => legacyFile(op.dictOf({ w: MATRIX }), { 0: SIX }).subarray(0, -4),
      /cut off/,
    ],
    'a pickle that is cut off': [
      () => torchZip(pickle(op.dictOf({ w: MATRIX })).subarray(0, -5), { 0: SIX }),
      /cut off/,
    ],
    'two pickles': [
      () => zipBytes({ 'a/data.pkl': pickle(MATRIX), 'b/data.pkl': pickle(MATRIX) }),
      /2 files data\.pkl/,
    ],
  };
  for (const [what, [bytes, says]] of Object.entries(refused))
    it(`refuses a PyTorch file with ${what}`, () =>
      rejectsWith(openCheckpoint(write(bytes())), 'malformed', /model\.pt/, says));

  it('says of the state of an optimizer why it holds no weights', () => {
    const optimizer = op.dictOf({ state: op.dictOf({ exp_avg: MATRIX }), param_groups: op.emptyList });
    const file = write(torchZip(pickle(optimizer), { 0: SIX }));
    return rejectsWith(openCheckpoint(file), 'not-a-checkpoint', /The state of an optimizer \(1 tensors\) is left out/);
  });

  it('says that a pickle contains no tensors', () =>
    rejectsWith(openCheckpoint(write(pickle(op.dictOf({ a: op.int(1) })))), 'not-a-checkpoint', /no tensors/));

  it('agrees with torch on names, shapes and values in every kind of file and every type', async function () {
    const script = `
import json, sys, torch, collections
folder = sys.argv[1]
torch.manual_seed(1)
dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32]
base = torch.randn(12, 10)
state = collections.OrderedDict((str(d).split(".")[1], (base.abs() * 4).to(d)) for d in dtypes)
state["transposed"] = base.t()
state["sliced"] = base[2:9:3, 1::2]
state["permuted"] = torch.randn(3, 4, 5).permute(2, 0, 1)
state["scalar"] = torch.tensor(2.5)
state["parameter"] = torch.nn.Parameter(torch.randn(3, 2))
state["tied"] = state["float32"]
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(5, 3)).sum().backward(); optimizer.step()
legacy = collections.OrderedDict((k, v) for k, v in state.items() if "float8" not in k and "uint16" not in k and "uint32" not in k)
reference = {}
def save(name, object, flat, **options):
    torch.save(object, folder + "/" + name, **options)
    reference[name] = {k: [list(v.shape), v.detach().to(torch.float32).flatten().tolist()] for k, v in flat.items()}
save("zip.pt", state, state)
save("protocol4.pt", state, state, pickle_protocol=4)
save("legacy.pt", legacy, legacy, _use_new_zipfile_serialization=False)
save("nested.ckpt", {"epoch": 1, "state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()]}, model.state_dict())
save("module.pth", model, model.state_dict())
save("module-legacy.pth", model, model.state_dict(), _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(model), folder + "/script.jit")
reference["script.jit"] = {k: [list(v.shape), v.to(torch.float32).flatten().tolist()] for k, v in model.state_dict().items()}
print(json.dumps(reference))`;
    const reference = python(this, ['torch'], script, folder.path()) as Record<
      string,
      Record<string, [number[], number[]]>
    >;
    for (const [file, tensors] of Object.entries(reference))
      await withCheckpoint(folder.path(file), async (checkpoint) => {
        const values = await readAll(checkpoint);
        for (const [name, [shape, expected]] of Object.entries(tensors)) {
          assert.deepEqual(checkpoint.tensors.find((tensor) => tensor.name === name)?.shape, shape, `${file} ${name}`);
          assert.deepEqual(values[name], expected, `${file} ${name}`);
        }
        assert.deepEqual(new Set(Object.keys(values)), new Set(Object.keys(tensors)), file);
        assert.deepEqual(
          checkpoint.security.filter(({ grade }) => grade !== 'unknown'),
          [],
          file,
        );
      });
  }).timeout(120_000);

  it('reads a file of plain pickle.dump, whose storages are inside the pickle', async function () {
    const script = `
import json, pickle, sys, torch
base = torch.arange(6.).reshape(2, 3)
with open(sys.argv[1], "wb") as file: pickle.dump({"w": base, "t": base.t(), "h": torch.ones(2, dtype=torch.float16)}, file)`;
    python(this, ['torch'], script, folder.path('state.pkl'));
    await withCheckpoint(folder.path('state.pkl'), async (checkpoint) => {
      assert.deepEqual(await readAll(checkpoint), { w: [0, 1, 2, 3, 4, 5], t: [0, 3, 1, 4, 2, 5], h: [1, 1] });
      assert.equal(checkpoint.security[0]?.grade, 'suspicious');
    });
  }).timeout(120_000);

  it('joins the shards of an index into one checkpoint', async () => {
    folder.write('pytorch_model-00001-of-00002.bin', torchZip(pickle(op.dictOf({ a: MATRIX })), { 0: SIX }));
    folder.write('pytorch_model-00002-of-00002.bin', legacyFile(op.dictOf({ b: MATRIX }), { 0: [6, 5, 4, 3, 2, 1] }));
    const shardOf = { a: 'pytorch_model-00001-of-00002.bin', b: 'pytorch_model-00002-of-00002.bin' };
    folder.write('pytorch_model.bin.index.json', JSON.stringify({ metadata: {}, weight_map: shardOf }));
    await withCheckpoint(folder.path(), async (checkpoint) => {
      assert.equal(checkpoint.format, 'pytorch');
      assert.deepEqual(await readAll(checkpoint), { a: SIX, b: [6, 5, 4, 3, 2, 1] });
    });
  });

  it('reads big-endian files', async () => {
    const data = new Uint8Array(new Float32Array(SIX).buffer);
    Buffer.from(data.buffer).swap32();
    const files = {
      'archive/data.pkl': pickle(op.dictOf({ w: MATRIX, t: tensor({ length: 6, shape: [3, 2], strides: [1, 3] }) })),
      'archive/byteorder': Buffer.from('big'),
      'archive/data/0': data,
    };
    await withCheckpoint(write(zipBytes(files)), async (checkpoint) => {
      assert.deepEqual(await readAll(checkpoint), { w: SIX, t: [1, 4, 2, 5, 3, 6] });
      const stored = await checkpoint.tensors[0]!.readStored?.(6, new Uint8Array(8));
      assert.deepEqual(stored, new Uint8Array(new Float32Array(SIX).buffer).slice(6, 14));
    });
  });

  it('reads the tar archives of torch 0.1', async () => {
    assert.deepEqual(await valuesOf(write(tarFile())), { w: [1, 4, 2, 5, 3, 6] });
  });

  it('opens a tar archive of torch 0.1 fast, however many storages it has', async () => {
    const path = write(tarFile(20_000));
    const start = process.cpuUsage();
    assert.deepEqual(await valuesOf(path), { w: [1, 4, 2, 5, 3, 6] });
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < 2e6, `${(user + system) / 1e6} s`);
  });
});

describe('hostile pickles', () => {
  const folder = testFolder();

  /** The calls that picklescan looks for, and its known bypasses. Each would create the canary if it ran. */
  const payloads: Record<string, (canary: string) => Uint8Array> = {
    'os.system': (canary) => op.call('os', 'system', op.text(`touch ${canary}`)),
    'posix.system': (canary) => op.call('posix', 'system', op.text(`touch ${canary}`)),
    'nt.system': (canary) => op.call('nt', 'system', op.text(`touch ${canary}`)),
    'subprocess.Popen': (canary) => op.call('subprocess', 'Popen', op.text(`touch ${canary}`)),
    'builtins.eval': (canary) => op.call('builtins', 'eval', op.text(`open(${JSON.stringify(canary)}, "w")`)),
    'builtins.exec': (canary) => op.call('builtins', 'exec', op.text(`open(${JSON.stringify(canary)}, "w")`)),
    '__builtin__.eval': (canary) => op.call('__builtin__', 'eval', op.text(`open(${JSON.stringify(canary)}, "w")`)),
    'builtins.__import__': () => op.call('builtins', '__import__', op.text('os')),
    'builtins.open': (canary) => op.call('builtins', 'open', op.text(canary), op.text('w')),
    'runpy._run_code': (canary) => op.call('runpy', '_run_code', op.text(`open(${JSON.stringify(canary)}, "w")`)),
    'pickle.loads': () => op.call('pickle', 'loads', op.text('x')),
    '_pickle.loads': () => op.call('_pickle', 'loads', op.text('x')),
    'torch.load': (canary) => op.call('torch', 'load', op.text(canary)),
    'torch.hub.load': () => op.call('torch.hub', 'load', op.text('x')),
    'shutil.rmtree': (canary) => op.call('shutil', 'rmtree', op.text(canary)),
    'socket.socket': () => op.call('socket', 'socket'),
    'urllib.request.urlopen': () => op.call('urllib.request', 'urlopen', op.text('x')),
    'webbrowser.open': () => op.call('webbrowser', 'open', op.text('x')),
    'pip.main': () => op.call('pip', 'main', op.emptyList),
    'importlib.import_module': () => op.call('importlib', 'import_module', op.text('os')),
    'timeit.timeit': () => op.call('timeit', 'timeit', op.text('x')),
    'bdb.Bdb.run': () => op.call('bdb', 'Bdb.run', op.text('x')),
    'numpy.testing._private.utils.runstring': () => op.call('numpy.testing._private.utils', 'runstring', op.text('x')),
    'torch.utils.collect_env.run': (canary) => op.call('torch.utils.collect_env', 'run', op.text(`touch ${canary}`)),
    'asyncio.unix_events._UnixSubprocessTransport._start': () =>
      op.call('asyncio.unix_events', '_UnixSubprocessTransport._start', op.text('x')),
    'a name reached through another module': (canary) =>
      Buffer.concat([
        op.stackGlobal('torch.serialization', 'os.system'),
        op.tupleOf(op.text(`touch ${canary}`)),
        op.reduce,
      ]),
    'the opcode INST': (canary) => Buffer.concat([op.mark, op.text(`touch ${canary}`), Buffer.from('ios\nsystem\n')]),
    'the opcode OBJ': (canary) =>
      Buffer.concat([op.mark, op.global('os', 'system'), op.text(`touch ${canary}`), Buffer.from('o')]),
    'the opcode NEWOBJ': () => Buffer.concat([op.global('subprocess', 'Popen'), op.emptyTuple, op.newObject]),
    'a call in the memo': (canary) => Buffer.concat([op.call('os', 'system', op.text(`touch ${canary}`)), op.put(9)]),
    '__setstate__ of a class': () =>
      Buffer.concat([
        op.global('subprocess', 'Popen'),
        op.emptyTuple,
        op.newObject,
        op.dictOf({ args: op.text('x') }),
        op.build,
      ]),
  };
  for (const [what, payload] of Object.entries(payloads))
    it(`reports ${what} as dangerous and does not run it`, async () => {
      const canary = folder.path('canary');
      const object = op.dictOf({ evil: payload(canary), weight: MATRIX });
      const files: Record<string, Uint8Array> = {
        'zip.pt': torchZip(pickle(object), { 0: SIX }),
        'legacy.pt': legacyFile(object, { 0: SIX }),
        'renamed.safetensors': torchZip(pickle(object), { 0: SIX }),
      };
      for (const [name, bytes] of Object.entries(files))
        await withCheckpoint(folder.write(name, bytes), async (checkpoint) => {
          assert.deepEqual((await readAll(checkpoint)).weight, SIX);
          assert.equal(checkpoint.security[0]?.grade, 'dangerous', JSON.stringify(checkpoint.security));
          assert.match(checkpoint.warnings.join('\n'), /Beware/);
        });
      assert.equal(existsSync(canary), false);
    });

  it('warns about the payload of a pickle that is cut off after it', async () => {
    const path = folder.write('model.bin', pickle(op.call('os', 'system', op.text('id')), Buffer.from([0xff])));
    await rejectsWith(openCheckpoint(path), 'malformed', /0xff/, /Beware: it names os\.system/);
  });

  it('reports a dangerous pickle inside the bytes of another, or beside it in the archive', async () => {
    const evil = op.call('os', 'system', op.text('id'));
    const bytes = Buffer.concat([Buffer.from('B'), Buffer.alloc(4), legacyFile(evil, {})]);
    bytes.writeUInt32LE(bytes.length - 5, 1);
    const nested = op.call('torch.storage', '_load_from_bytes', bytes);
    const array = op.call(
      'numpy._core.multiarray',
      'scalar',
      op.call('numpy', 'dtype', op.text('f4')),
      Buffer.from('C\x04\0\0\x80\x3f', 'latin1'),
    );
    const files = {
      'nested.pkl': pickle(op.dictOf({ nested, array })),
      'beside.pt': zipBytes({
        'a/data.pkl': pickle(op.dictOf({ w: MATRIX })),
        'a/data/0': new Uint8Array(new Float32Array(SIX).buffer),
        'a/extra.pkl': pickle(evil),
      }),
    };
    for (const [name, content] of Object.entries(files))
      await withCheckpoint(folder.write(name, content), ({ security }) =>
        assert.deepEqual([security[0]?.grade, security[0]?.subject], ['dangerous', 'os.system'], name),
      );
  });

  it('reports the pickles that follow the first one, of every form of file', async () => {
    const evil = pickle(op.call('os', 'system', op.text('id')));
    const harmless = pickle(op.int(1));
    const array = op.call(
      'numpy._core.multiarray',
      'scalar',
      op.call('numpy', 'dtype', op.text('f4')),
      Buffer.from('C\x04\0\0\x80\x3f', 'latin1'),
    );
    const object = op.dictOf({ w: MATRIX });
    const storage = new Uint8Array(new Float32Array(SIX).buffer);
    const files = {
      'plain.pkl': Buffer.concat([pickle(op.dictOf({ array })), harmless, evil]),
      'legacy.pt': Buffer.concat([legacyFile(object, { 0: SIX }), evil]),
      'entry.pt': zipBytes({ 'a/data.pkl': Buffer.concat([pickle(object), harmless, evil]), 'a/data/0': storage }),
      'disguised.pt': zipBytes({ 'a/data.pkl': pickle(object), 'a/data/0': storage, 'a/notes.txt': evil }),
    };
    for (const [name, content] of Object.entries(files))
      await withCheckpoint(folder.write(name, content), ({ security, tensors }) => {
        assert.deepEqual([security[0]?.grade, security[0]?.subject], ['dangerous', 'os.system'], name);
        assert.equal(tensors.length, 1, name);
      });
  });

  it('names a joblib file, whose arrays lie between opcodes', () =>
    rejectsWith(
      openCheckpoint(
        folder.write(
          'model.pkl',
          Buffer.concat([
            op.protocol(3),
            op.global('joblib.numpy_pickle', 'NumpyArrayWrapper'),
            op.emptyTuple,
            op.newObject,
            op.dictOf({ allow_mmap: op.none }),
            op.build,
            Buffer.from(new Float32Array([3, 4]).buffer),
          ]),
        ),
      ),
      'unsupported',
      /joblib file/,
      /numpy\.savez/,
    ));

  it('says when more pickles follow than it scans', () => {
    const array = op.call(
      'numpy._core.multiarray',
      'scalar',
      op.call('numpy', 'dtype', op.text('f4')),
      Buffer.from('C\x04\0\0\x80\x3f', 'latin1'),
    );
    const many = Array.from({ length: 1000 }, () => pickle(op.int(1)));
    return withCheckpoint(
      folder.write('many.pkl', Buffer.concat([pickle(op.dictOf({ array })), ...many])),
      (checkpoint) => assert.match(checkpoint.warnings.join('\n'), /More pickles follow than are scanned/),
    );
  });

  it('reports with the grade unknown what no list names and no tensor needs', () =>
    withCheckpoint(
      folder.write('m.pt', torchZip(pickle(op.dictOf({ x: op.call('some.module', 'helper'), w: MATRIX })), { 0: SIX })),
      ({ security }) =>
        assert.deepEqual(
          security.map(({ grade, subject }) => [grade, subject]),
          [['unknown', 'some.module.helper']],
        ),
    ));

  it('reports a pickle that changes the attributes of what it imports', () =>
    withCheckpoint(
      folder.write(
        'm.pt',
        torchZip(
          pickle(
            op.dictOf({
              x: Buffer.concat([
                op.global('torch', 'Tensor'),
                op.dictOf({ numpy: op.global('torch', 'Size') }),
                op.build,
              ]),
              w: MATRIX,
            }),
          ),
          { 0: SIX },
        ),
      ),
      ({ security }) =>
        assert.deepEqual(
          security.map(({ grade, subject }) => [grade, subject]),
          [['suspicious', 'attributes of torch.Tensor']],
        ),
    ));

  it('reports a getattr chain as suspicious', () =>
    withCheckpoint(
      folder.write(
        'm.pt',
        torchZip(pickle(op.dictOf({ g: op.call('operator', 'attrgetter', op.text('system')), w: MATRIX })), { 0: SIX }),
      ),
      ({ security }) => assert.equal(security[0]?.grade, 'suspicious'),
    ));
});
