import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTokenizerFile } from '../../../../src/network/tokenizer/openTokenizer.ts';
import { python } from '../../formats/python.ts';
import { inFolder } from './inFolder.ts';
import { NASTY_TEXTS } from './texts.ts';

const MAKER = `import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name="__main__")`;
const TEXTS = [
  ...NASTY_TEXTS,
  'the cat <|im_end|>  sat\n <|im_start|> on <sep>the hello, helloX<sep> X<y <s>mat</s>hello',
  '<sep>hello',
  'hello<|im_start|>',
];

interface Expected {
  readonly start: number | null;
  readonly size: number;
  readonly text: number[][];
  readonly tokens: number[][];
  /** Ids, and their texts without and with special tokens. */
  readonly lists: number[][];
  readonly decoded: [string, string][];
}

describe('tokenizer.json', function () {
  this.timeout(60_000);

  it('every kind of model, normalizer, pre-tokenizer and decoder agrees with the reference implementation', async function () {
    await inFolder({ 'texts.json': JSON.stringify(TEXTS) }, async (folder) => {
      const maker = fileURLToPath(new URL('./makeTokenizers.py', import.meta.url));
      const made = python(this, ['tokenizers'], MAKER, maker, folder, join(folder, 'texts.json'));
      const failures: string[] = [];
      for (const [name, expected] of Object.entries(made as Record<string, Expected>)) {
        const tokenizer = await openTokenizerFile(join(folder, `${name}.json`));
        assert.deepEqual(
          [name, tokenizer.vocabularySize, tokenizer.start, tokenizer.addsStart],
          [name, expected.size, expected.start ?? undefined, expected.start !== null],
        );
        for (const [i, text] of TEXTS.entries())
          for (const specialTokens of [false, true]) {
            const ids = [...(await tokenizer.encode(text, { specialTokens }))];
            const right = expected[specialTokens ? 'tokens' : 'text'][i]!;
            if (ids.join() !== right.join())
              failures.push(
                `${name}${specialTokens ? ', special' : ''}: ${JSON.stringify(text.slice(0, 40))}: ` +
                  `${ids.slice(0, 20)} instead of ${right.slice(0, 20)}`,
              );
          }
        for (const [i, ids] of expected.lists.entries())
          for (const [k, specialTokens] of [false, true].entries()) {
            const own = tokenizer.decode(ids, { specialTokens });
            const right = expected.decoded[i]![k]!;
            if (own !== right)
              failures.push(`${name}: ${ids.slice(0, 40)}: ${JSON.stringify(own)} instead of ${JSON.stringify(right)}`);
          }
      }
      assert.deepEqual(failures, []);
    });
  });
});
