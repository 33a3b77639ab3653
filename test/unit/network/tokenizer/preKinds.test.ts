import assert from 'node:assert/strict';
import { join } from 'node:path';
import { wordCut } from '../../../../src/network/tokenizer/preKinds.ts';
import { python } from '../../formats/python.ts';
import { inFolder } from './inFolder.ts';
import { NASTY_TEXTS } from './texts.ts';

/** The patterns that the models' own tokenizer.json files have, as their regular expression engine understands them. */
const PATTERNS = String.raw`
import json, sys
from tokenizers import Regex, pre_tokenizers as P

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
LEAD, REST = r"[^\r\n\p{L}\p{N}]?", r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = f"{LEAD}{UPPER}*{LOWER}+{SHORT}|{LEAD}{UPPER}+{LOWER}*{SHORT}" + r"|\p{N}{1,3}" + REST
TEKKEN = f"{LEAD}{UPPER}*{LOWER}+|{LEAD}{UPPER}+{LOWER}*" + r"|\p{N}" + REST
DEEPSEEK = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
QWEN35 = LLAMA3.replace(r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}", r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
kinds = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "qwen35": [QWEN35],
    "gpt-4o": [O200K],
    "tekken": [TEKKEN],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥\u0800-一가-\ud7ff]+", r"\p{N}"],
}
texts = json.load(open(sys.argv[1], encoding="utf8"))
cut = lambda patterns: P.Sequence([P.Split(Regex(each), "isolated") for each in patterns])
print(json.dumps({
    name: [[piece for piece, _ in cut(patterns).pre_tokenize_str(text)] for text in texts]
    for name, patterns in kinds.items()
}))
`;

describe('the words of a GGUF vocabulary', function () {
  this.timeout(60_000);

  it('each kind cuts texts as the pattern of its tokenizer.json does', async function () {
    const expected = await inFolder({ 'texts.json': JSON.stringify(NASTY_TEXTS) }, (folder) =>
      python(this, ['tokenizers'], PATTERNS, join(folder, 'texts.json')),
    );
    for (const [name, words] of Object.entries(expected as Record<string, string[][]>))
      for (const [i, text] of NASTY_TEXTS.entries())
        assert.deepEqual([...wordCut(name)!.cut(text)], words[i], `${name}: ${JSON.stringify(text.slice(0, 50))}`);
  });

  it('digits stay together by three in Llama 3 and stand alone in Qwen 2', () => {
    assert.deepEqual([...wordCut('llama-bpe')!.cut('in 20261 we')], ['in', ' ', '202', '61', ' we']);
    assert.deepEqual([...wordCut('qwen2')!.cut('in 20 we')], ['in', ' ', '2', '0', ' we']);
  });

  it("white space is Unicode's: a byte order mark is not, and the control character U+0085 is", () => {
    assert.deepEqual(
      [...wordCut('gpt-2')!.cut('a\u0085\u0085b\ufeffc')],
      ['a', '\u0085', '\u0085', 'b', '\ufeff', 'c'],
    );
  });

  it('no kind takes long for a long run of one character', () => {
    for (const name of [
      'default',
      'smollm',
      'llama-bpe',
      'gpt-4o',
      'deepseek-v3',
      'deepseek-coder',
      'viking',
      'falcon',
    ])
      for (const character of [' ', '\n', 'A', '1', "'", '漢', '\u0301'])
        assert.equal([...wordCut(name)!.cut(character.repeat(50_000))].join('').length, 50_000);
  }).timeout(20_000);
});
