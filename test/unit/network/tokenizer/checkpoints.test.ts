import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { openTokenizer, openTokenizerFile } from '../../../../src/network/tokenizer/openTokenizer.ts';
import type { Tokenizer } from '../../../../src/network/tokenizer/tokenizer.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { python } from '../../formats/python.ts';
import { inFolder } from './inFolder.ts';
import { NASTY_TEXTS } from './texts.ts';

/**
 * The ids of texts, by transformers. Its conversion of GGUF files leaves out what cuts SmolLM2's texts into words, and
 * version 5 drops the space that SentencePiece writes in front of a text that begins with one: both are put back.
 */
const SCRIPT = `
import json, os, random, sys
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer
root = sys.argv[1]
smollm = AutoTokenizer.from_pretrained(
    os.path.join(root, "smollm2-135m"), gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf").backend_tokenizer
smollm.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
stories = AutoTokenizer.from_pretrained(
    os.path.join(root, "stories260K-gguf"), gguf_file="stories260K.F32.gguf").backend_tokenizer
stories.pre_tokenizer = None
stories.normalizer = normalizers.Sequence([normalizers.Prepend("\\u2581"), normalizers.Replace(" ", "\\u2581")])
gpt2 = AutoTokenizer.from_pretrained(os.path.join(root, "lora-gpt2-tigrinya")).backend_tokenizer
texts = json.load(open(sys.argv[2], encoding="utf8"))
result = {}
for name, tokenizer in {"smollm": smollm, "stories": stories, "gpt2": gpt2}.items():
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    result[name] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    numbers = random.Random(name)
    lists = [[numbers.randrange(tokenizer.get_vocab_size() + 3) for _ in range(60)] for _ in range(100)]
    lists += result[name]
    result[name + " decoded"] = [[ids, *[tokenizer.decode(ids, skip_special_tokens=skip) for skip in [True, False]]]
                                 for ids in lists]
print(json.dumps(result))
`;

interface Reference {
  readonly texts: readonly string[];
  readonly ids: Readonly<Record<Name, number[][]>> &
    Readonly<Record<`${Name} decoded`, (readonly [ids: number[], plain: string, withSpecial: string])[]>>;
}

type Name = 'smollm' | 'stories' | 'gpt2';

let computed: Reference | undefined;

/** The ids of the shared texts, and of those that tokenizers disagree on; Python is started once. */
async function reference(context: Mocha.Context): Promise<Reference> {
  const root = checkpointPath(context, '.');
  computed ??= await inFolder({}, (folder) => {
    const file = (name: string) => join(root, '..', 'text', `wikitext2-${name}.txt`);
    const shared = ['calibration', 'evaluation'].map((name) => readFileSync(file(name), 'utf8'));
    const texts = [...shared, ...NASTY_TEXTS];
    const list = join(folder, 'texts.json');
    writeFileSync(list, JSON.stringify(texts));
    return { texts, ids: python(context, ['transformers'], SCRIPT, root, list) as Reference['ids'] };
  });
  return computed;
}

async function assertEqualIds(tokenizer: Tokenizer, { texts, ids: all }: Reference, name: Name) {
  for (const [i, text] of texts.entries())
    assert.deepEqual([...(await tokenizer.encode(text))], all[name][i], JSON.stringify(text.slice(0, 50)));
  for (const [ids, plain, withSpecial] of all[`${name} decoded`]) {
    assert.equal(tokenizer.decode(ids), plain);
    assert.equal(tokenizer.decode(ids, { specialTokens: true }), withSpecial);
  }
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

  it("SmolLM2's GGUF file gives the ids and texts of its tokenizer.json, which cuts off every digit", async function () {
    const tokenizer = await ofCheckpoint(checkpointPath(this, 'smollm2-135m'));
    assert.deepEqual(
      [tokenizer.kind, tokenizer.vocabularySize, tokenizer.start, tokenizer.addsStart],
      ['GGUF gpt2, pre smollm', 49152, 1, false],
    );
    await assertEqualIds(tokenizer, await reference(this), 'smollm');
  });

  for (const file of ['stories260K-gguf/stories260K.F32.gguf', 'stories260K-hf/tok512.bin'])
    it(`${file} gives the ids and texts of SentencePiece's byte-pair encoding`, async function () {
      const path = checkpointPath(this, file);
      const tokenizer = file.endsWith('.bin') ? await openTokenizerFile(path) : await ofCheckpoint(path);
      assert.deepEqual([tokenizer.vocabularySize, tokenizer.start, tokenizer.addsStart], [512, 1, true]);
      await assertEqualIds(tokenizer, await reference(this), 'stories');
    });

  it('stories260K encodes a story to the ids that its authors published', async function () {
    const tokenizer = await ofCheckpoint(checkpointPath(this, 'stories260K-hf'));
    const published = JSON.parse(readFileSync(checkpointPath(this, 'stories260K-hf/eval_reference.json'), 'utf8'));
    for (const { text, ids } of Object.values(published.eval) as { text: string; ids: number[] }[])
      assert.deepEqual([tokenizer.start, ...(await tokenizer.encode(text))], ids);
  });

  it('the tokenizer.json of a GPT-2 adapter gives the ids and texts of transformers', async function () {
    const tokenizer = await openTokenizerFile(checkpointPath(this, 'lora-gpt2-tigrinya/tokenizer.json'));
    await assertEqualIds(tokenizer, await reference(this), 'gpt2');
  });
});
