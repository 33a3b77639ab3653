import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createReferenceBackend } from '../../../../src/devices/reference/backend.ts';
import type { EvaluateRequest, TextFacts } from '../../../../src/model/evaluation.ts';
import type { Network } from '../../../../src/network/network.ts';
import { OpenCheckpoints } from '../../../../src/service/checkpoints/opened.ts';
import { Devices } from '../../../../src/service/devices/devices.ts';
import { evaluate } from '../../../../src/service/evaluate/evaluate.ts';
import { refuseTooManyTokens } from '../../../../src/service/evaluate/streamMemory.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { type Case, valuesOf, writeDecoder } from '../../network/decoders.ts';
import { llama2cBytes, PIECES } from '../../network/tokenizer/vocabularies.ts';
import { processorTime } from '../../processorTime.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;
/** The same with a row for each token of a small tokenizer. */
const VOCABULARY = PIECES.length;
const BYTES: Case = {
  ...LLAMA,
  config: { ...LLAMA.config, vocab_size: VOCABULARY },
  tensors: { ...LLAMA.tensors, 'model.embed_tokens.weight': [VOCABULARY, 32] },
};

describe('what an evaluation refuses', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  const model = (known = BYTES, values?: Parameters<typeof writeDecoder>[2]) =>
    writeDecoder(folder.path('model'), known, values);
  const ofText = (text: string | Uint8Array, more: Partial<EvaluateRequest> = {}) => {
    const path = model();
    folder.write('model/tokenizer.bin', llama2cBytes());
    return service.evaluate({ path, text: folder.write('text.txt', text), context: 16, threads: 2, ...more });
  };
  const ofIds = (ids: string, more: Partial<EvaluateRequest> = {}, path = model(LLAMA)) =>
    service.evaluate({ path, ids: folder.write('ids.json', ids), context: 8, threads: 2, ...more });
  const IDS = JSON.stringify([...LLAMA.ids, ...LLAMA.ids]);

  it('a text shorter than a window, with both numbers', () =>
    assert.rejects(ofText('hello'), {
      code: 'wrong-use',
      message: /text\.txt: it has \d tokens, fewer than the 15 of a window/,
    }));

  it('a file that is empty, blank, binary, in UTF-16 or in Latin-1, each by what it is', async () => {
    const cases: [string | Uint8Array, RegExp][] = [
      ['', /it is empty/],
      [' \n\t\n', /it is blank/],
      [readFileSync('test/fixtures/sample/model.safetensors'), /binary file: byte \d+ is 0/],
      [Buffer.from('\ufeffsome text', 'utf16le'), /UTF-16/],
      [Buffer.from('a na\u00efve caf\u00e9', 'latin1'), /not a text in UTF-8: byte 4/],
      [Buffer.from([0xef, 0xbf, 0xbd, 0x61, 0xe9]), /not a text in UTF-8: byte 4/],
      [Buffer.from([0x61, 0xe2, 0x82]), /not a text in UTF-8: byte 1/],
    ];
    for (const [content, message] of cases) await assert.rejects(ofText(content), { code: 'malformed', message });
    await assert.rejects(ofText('x', { text: folder.path() }), { code: 'unreadable', message: /folder/ });
    await assert.rejects(ofText('x', { text: folder.path('none.txt') }), { code: 'not-found' });
  });

  it('no text of another language, nor one with a byte order mark or other line ends', async () => {
    const texts = [
      '\u7121\u6240\u5f97\u6545\u4e00\u5207',
      '\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645',
      '\u{1f600}\u{1f44d}\u{1f3fd}',
      '\ufeffa bc\r\nd e fgh',
    ];
    for (const text of texts) {
      const { text: facts, dense } = await ofText(text.repeat(4));
      assert.ok(facts.windows >= 1 && Number.isFinite(dense.perplexity) && dense.perplexity > 1, text);
    }
  });

  it('ids without a row in the embedding, and ids that are no numbers, by the file', async () => {
    await assert.rejects(ofIds('[1, 2, 3, 4, 5, 6, 7, 40]'), {
      code: 'wrong-use',
      message: /ids\.json: it gives token 40.* 40 rows/,
    });
    await assert.rejects(ofIds('[1, 2, -3]'), { code: 'malformed', message: /ids\.json.*negative/ });
    await assert.rejects(ofIds('[1, "two"]'), { code: 'malformed', message: /ids\.json/ });
    await assert.rejects(ofIds('[]'), { code: 'malformed', message: /no ids/ });
  });

  it('a tokenizer of another model, by its file', async () => {
    const path = model(LLAMA);
    folder.write('model/tokenizer.bin', llama2cBytes());
    const text = folder.write('text.txt', 'some text that is long enough');
    await assert.rejects(service.evaluate({ path, text, context: 8 }), {
      code: 'wrong-use',
      message: /tokenizer\.bin: it gives token \d+, and the embedding of .* has 40 rows/,
    });
  });

  it('no tokenizer that is far smaller than the embedding, but says so', async () => {
    const wide = { ...BYTES, tensors: { ...BYTES.tensors, 'model.embed_tokens.weight': [900, 32] } };
    const path = model({ ...wide, config: { ...wide.config, vocab_size: 900 } });
    folder.write('model/tokenizer.bin', llama2cBytes());
    const text = folder.write('text.txt', 'some text that is long enough');
    const { notes } = await service.evaluate({ path, text, context: 8, threads: 2 });
    assert.match(notes.join(), /268 tokens and the embedding 900 rows/);
  });

  it('a text without a tokenizer, with what to do', () =>
    assert.rejects(service.evaluate({ path: model(LLAMA), text: folder.write('text.txt', 'text') }), {
      code: 'not-found',
      message: /no tokenizer.*--ids/,
    }));

  it('a configuration that contradicts the tensors, by the tensor', async () => {
    const path = model({ ...LLAMA, config: { ...LLAMA.config, intermediate_size: 64 } });
    await assert.rejects(ofIds(IDS, {}, path), { code: 'malformed', message: /mlp\.\w+_proj\.weight has 48 x 32/ });
    const deep = model({ ...LLAMA, config: { ...LLAMA.config, num_hidden_layers: 3 } });
    await assert.rejects(ofIds(IDS, {}, deep), { code: 'malformed', message: /2 layers, its configuration says 3/ });
  });

  it('NaN in a weight, by its name, also where a rank would cut it', async () => {
    const bad = 'model.layers.1.mlp.up_proj.weight';
    const path = model(LLAMA, (name, shape) =>
      valuesOf(LLAMA.seed, name, shape).map((value, k) => (name === bad && k === 5 ? Number.NaN : value)),
    );
    for (const ranks of [[], [4]])
      await assert.rejects(ofIds(IDS, { ranks }, path), { code: 'not-finite', message: /layers\.1\.mlp\.up_proj/ });
  });

  it('a logit that is not finite, by the variant, the window and the position', async () => {
    const large = writeDecoder(folder.path('large'), LLAMA, (name, shape) =>
      valuesOf(LLAMA.seed, name, shape).map((value) => (name.includes('norm') ? value * 1e30 : value)),
    );
    await assert.rejects(ofIds(IDS, { files: [large] }), {
      code: 'not-finite',
      message: /model\.safetensors: model\.safetensors has a logit .* at position 1 of window 1/,
    });
  });

  it('a window that is longer than the context of the model, or more tokens than it may take', async () => {
    await assert.rejects(ofIds(IDS, { context: 100 }), { code: 'wrong-use', message: /context of 64/ });
    await assert.rejects(ofIds(IDS, { context: 8, tokens: 4 }), { code: 'wrong-use', message: /4 tokens are less/ });
  });

  it('a device with too little memory for one block, with the number of bytes', async () => {
    const devices = new Devices(
      () => undefined,
      async () => createReferenceBackend({ memoryLimit: 60_000 }),
    );
    const checkpoints = new OpenCheckpoints();
    try {
      const request = { path: model(LLAMA), ids: folder.write('ids.json', IDS), context: 8, engine: 'reference' };
      await assert.rejects(evaluate(devices, checkpoints, request, {}), {
        code: 'too-large',
        message: /block 1 needs [\d.]+ KB, .* the reference engine has 30 KB/,
      });
    } finally {
      await Promise.all([devices.close(), checkpoints.close()]);
    }
  });

  it('more tokens than memory holds in all networks, with the bytes and a number that fits', () => {
    const network = { decoder: { width: 576 }, weights: { subject: 'model' } } as unknown as Network;
    const facts = { context: 512 } as TextFacts;
    const refuse = (windows: number, networks: number) =>
      refuseTooManyTokens(network, { windows: Array(windows), facts }, networks, 2 ** 30);
    refuse(16, 9);
    // 102,400 tokens x 9 networks x 2 x 576 x 4 bytes.
    assert.throws(() => refuse(200, 9), {
      code: 'too-large',
      message: /102400 tokens in 9 networks need 4\.\d+ GB, and 1\.\d+ GB are free\. Use at most 12945 tokens/,
    });
  });

  it('nothing after a cancellation, within 200 ms, and serves the next call', async () => {
    const path = model(LLAMA);
    const latencies: number[] = [];
    for (const stopAt of [0, 1, 2]) {
      const cancel = new AbortController();
      let spent = () => Number.NaN;
      const run = ofIds(IDS, { ranks: [2, 4] }, path);
      await run;
      const cancelled = service.evaluate(
        { path, ids: folder.path('ids.json'), context: 8, ranks: [2, 4, 8], threads: 2 },
        {
          signal: cancel.signal,
          progress: ({ done }) => {
            if (done < stopAt || cancel.signal.aborted) return;
            spent = processorTime();
            cancel.abort();
          },
        },
      );
      await assert.rejects(cancelled, { code: 'cancelled' });
      latencies.push(spent());
    }
    // Processor time counts all threads.
    assert.ok(Math.max(...latencies) < 3 * 200, latencies.join());
  });
});
