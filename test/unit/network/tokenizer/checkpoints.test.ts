import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { openTokenizer, openTokenizerFile } from '../../../../src/network/tokenizer/openTokenizer.ts';
import type { Tokenizer } from '../../../../src/network/tokenizer/tokenizer.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { python } from '../../formats/python.ts';
import { inFolder } from './inFolder.ts';
import { NASTY_TEXTS } from './texts.ts';

/** The shared texts, and those that tokenizers disagree on. */
function textsOf(context: Mocha.Context): string[] {
  const folder = join(dirname(checkpointPath(context, '.')), 'text');
  const shared = ['calibration', 'evaluation'].map((name) => join(folder, `wikitext2-${name}.txt`));
  return [...shared.map((file) => readFileSync(file, 'utf8')), ...NASTY_TEXTS];
}

/** Tokenizes the texts in `sys.argv[2]` by `encode`, which the script `setup` defines from the path in `sys.argv[1]`. */
const script = (setup: string) => `
import json, sys
from transformers import AutoTokenizer
path = sys.argv[1]
${setup}
print(json.dumps([encode(text) for text in json.load(open(sys.argv[2], encoding="utf8"))]))
`;

async function assertEqualIds(context: Mocha.Context, tokenizer: Tokenizer, texts: readonly string[], setup: string) {
  const expected = await inFolder({ 'texts.json': JSON.stringify(texts) }, (folder) =>
    python(context, ['transformers'], script(setup), tokenizer.file, join(folder, 'texts.json')),
  );
  for (const [i, text] of texts.entries())
    assert.deepEqual(
      [...(await tokenizer.encode(text))],
      (expected as number[][])[i],
      JSON.stringify(text.slice(0, 50)),
    );
}

async function ofCheckpoint(path: string): Promise<Tokenizer> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await openTokenizer(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

describe('the tokenizers of real checkpoints', function () {
  this.timeout(120_000);

  it("SmolLM2's GGUF file gives the ids of its tokenizer.json, which cuts off every digit", async function () {
    const tokenizer = await ofCheckpoint(checkpointPath(this, 'smollm2-135m'));
    assert.deepEqual(
      [tokenizer.kind, tokenizer.vocabularySize, tokenizer.start, tokenizer.addsStart],
      ['GGUF gpt2, pre smollm', 49152, 1, false],
    );
    // transformers leaves out the kind of words when it converts a GGUF file, so the test adds it.
    const setup = `
import os
from tokenizers import pre_tokenizers
backend = AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path)).backend_tokenizer
backend.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
backend.encode_special_tokens = True
encode = lambda text: backend.encode(text, add_special_tokens=False).ids`;
    await assertEqualIds(this, tokenizer, textsOf(this), setup);
  });

  for (const file of ['stories260K-gguf/stories260K.F32.gguf', 'stories260K-hf/tok512.bin'])
    it(`${file} gives the ids of SentencePiece's byte-pair encoding`, async function () {
      const path = checkpointPath(this, file);
      const tokenizer = file.endsWith('.bin') ? await openTokenizerFile(path) : await ofCheckpoint(path);
      assert.deepEqual([tokenizer.vocabularySize, tokenizer.start, tokenizer.addsStart], [512, 1, true]);
      // transformers 5 drops the space that SentencePiece writes in front of a text that begins with one.
      const setup = `
import os
gguf = os.path.join(os.path.dirname(os.path.dirname(path)), "stories260K-gguf")
from tokenizers import normalizers
backend = AutoTokenizer.from_pretrained(gguf, gguf_file="stories260K.F32.gguf").backend_tokenizer
backend.pre_tokenizer = None
backend.normalizer = normalizers.Sequence([normalizers.Prepend("\\u2581"), normalizers.Replace(" ", "\\u2581")])
backend.encode_special_tokens = True
encode = lambda text: backend.encode(text, add_special_tokens=False).ids`;
      await assertEqualIds(this, tokenizer, textsOf(this), setup);
    });

  it('stories260K encodes a story to the ids that its authors published', async function () {
    const tokenizer = await ofCheckpoint(checkpointPath(this, 'stories260K-hf'));
    const reference = JSON.parse(readFileSync(checkpointPath(this, 'stories260K-hf/eval_reference.json'), 'utf8'));
    for (const { text, ids } of Object.values(reference.eval) as { text: string; ids: number[] }[])
      assert.deepEqual([tokenizer.start, ...(await tokenizer.encode(text))], ids);
  });

  it('the tokenizer.json of a GPT-2 adapter gives the ids of transformers', async function () {
    const tokenizer = await openTokenizerFile(checkpointPath(this, 'lora-gpt2-tigrinya/tokenizer.json'));
    const setup = `
import os
tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(path))
encode = lambda text: tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]`;
    await assertEqualIds(this, tokenizer, textsOf(this), setup);
  });
});
