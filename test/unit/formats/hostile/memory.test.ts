import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { testFolder } from '../folder.ts';
import { op, pickle, tensor } from '../pickleBytes.ts';
import { torchZip } from '../zipBytes.ts';
import * as files from './fileBombs.ts';
import { type Bomb, PICKLE_BOMBS } from './pickleBombs.ts';

/** Memory that opening a file may take, beyond that of a small honest file. */
const MAX_MEGABYTES = 200;
/**
 * Processor time, which grows with the load: honest work takes at most two seconds on a busy machine, and exponential
 * or quadratic work takes minutes.
 */
const MAX_SECONDS = 15;

const BOMBS: Readonly<Record<string, Readonly<Record<string, Bomb>>>> = {
  'a pickle of': PICKLE_BOMBS,
  'a safetensors file of': files.SAFETENSORS_BOMBS,
  'a checkpoint beside a configuration of': files.CONFIGURATION_BOMBS,
  'a TensorFlow.js model of': files.TFJS_BOMBS,
  'an ONNX model of': files.ONNX_BOMBS,
  'a GGUF file of': files.GGUF_BOMBS,
  'a msgpack file of': files.FLAX_BOMBS,
  'a TensorFlow index of': files.TENSORFLOW_BOMBS,
  'an npz archive of': files.NUMPY_BOMBS,
};

interface Opened {
  readonly found: string;
  readonly seconds: number;
  readonly megabytes: number;
}

/** Each file is opened in a process of its own, whose peak memory is compared with that for an honest file. */
describe('a file made to exhaust memory or time', () => {
  const folder = testFolder();
  let program = '';
  let honest: Opened;

  before(() => {
    // Bundled once: it starts in a tenth of the time, and only the reader's memory is measured.
    const entry = fileURLToPath(new URL('openOne.ts', import.meta.url));
    const banner = {
      js: `import { createRequire } from 'node:module'; const require = createRequire(${JSON.stringify(import.meta.url)});`,
    };
    const { outputFiles } = buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      banner,
    });
    program = outputFiles[0]!.text;
  });

  beforeEach(() => {
    folder.write('open.mjs', program);
    honest ??= open(folder.write('honest.pt', HONEST));
  });

  function open(path: string): Opened {
    const { stdout, stderr, signal } = spawnSync(process.execPath, [folder.path('open.mjs'), path], {
      encoding: 'utf8',
      timeout: 180_000,
    });
    assert.equal(signal, null, 'it is not done after three minutes');
    assert.notEqual(stdout, '', stderr.slice(-2000));
    return JSON.parse(stdout) as Opened;
  }

  for (const [kind, bombs] of Object.entries(BOMBS))
    for (const [what, bomb] of Object.entries(bombs))
      it(`is opened or refused within its bounds: ${kind} ${what}`, () => {
        const content = bomb();
        const [first] = Object.keys(content);
        for (const [name, bytes] of Object.entries(content)) folder.write(join('bomb', name), bytes);
        const { found, seconds, megabytes } = open(folder.path(join('bomb', first!)));
        assert.match(found, /^(opened|malformed|too-large|not-a-checkpoint|unsupported)/);
        const more = megabytes - honest.megabytes;
        assert.ok(more < MAX_MEGABYTES, `${Math.round(more)} MB: ${found}`);
        assert.ok(seconds < MAX_SECONDS, `${seconds} s: ${found}`);
      }).timeout(200_000);
});

const HONEST = torchZip(pickle(op.dictOf({ w: tensor({ length: 2, shape: [2], strides: [1] }) })), { 0: [1, 2] });
