"""Trains small tokenizers of every kind and writes, for each, its tokenizer.json, the ids of the given texts, and the
texts of these and of random ids."""

import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

folder, texts_file = sys.argv[1:]
texts = json.load(open(texts_file, encoding="utf8"))
P, N = pre_tokenizers, normalizers
CORPUS = [
    "the cat sat on the mat and the dog sat on the log",
    "She said: don't go there! It costs 12,345.67 dollars; hello hello helloHello",
    "  indented\n\tlines\r\n  and  spaces   here",
    "漢字かな 中文字符 한국어 Привет мир",
    "über café naïve x<sep>y",
] * 3
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
MARKED = N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")])


def bpe(**options):
    return Tokenizer(models.BPE(**options))


def kinds():
    """Names, with an untrained tokenizer, its normalizer, its pre-tokenizer and the options of the trainer."""
    alphabet = {"initial_alphabet": P.ByteLevel.alphabet()}
    special = {"special_tokens": ["<unk>", "<s>", "</s>"]}
    fallback = {"special_tokens": ["<unk>", "<s>", "</s>", *BYTES]}
    byte = lambda *before: P.Sequence([*before, P.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "gpt2", bpe(), None, P.ByteLevel(add_prefix_space=False), alphabet
    yield "prefixed", bpe(), None, P.ByteLevel(add_prefix_space=True), alphabet
    yield "nfcBytes", bpe(), N.NFC(), P.ByteLevel(add_prefix_space=False), alphabet
    yield "cl100k", bpe(ignore_merges=True), None, byte(P.Split(Regex(CL100K), "isolated")), alphabet
    yield "digits", bpe(), None, P.Sequence([P.Digits(True), P.ByteLevel(add_prefix_space=False)]), alphabet
    yield "digitRuns", bpe(), None, P.Sequence([P.Digits(False), P.ByteLevel(add_prefix_space=False)]), alphabet
    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        yield behavior, bpe(), None, byte(P.Split(Regex(r"\s"), behavior)), alphabet
        yield behavior + "Inverted", bpe(), None, byte(P.Split(Regex(r"\w+"), behavior, invert=True)), alphabet
    yield "punctuation", bpe(), None, byte(P.Punctuation("merged_with_previous")), alphabet
    yield "delimiter", bpe(), None, byte(P.CharDelimiterSplit("a")), alphabet
    yield "fallback", bpe(byte_fallback=True, unk_token="<unk>", fuse_unk=True), MARKED, None, fallback
    yield "fused", bpe(unk_token="<unk>", fuse_unk=True), MARKED, None, special
    yield "unfused", bpe(unk_token="<unk>"), MARKED, None, special
    yield "dropped", bpe(), MARKED, None, special
    yield "metaspace", bpe(unk_token="<unk>"), None, P.Metaspace(), special
    yield "metaspaceFirst", bpe(unk_token="<unk>"), None, P.Metaspace(prepend_scheme="first", split=False), special
    yield "metaspaceNever", bpe(unk_token="<unk>"), None, P.Metaspace(prepend_scheme="never"), special
    suffix = {"end_of_word_suffix": "</w>"}
    yield "suffix", bpe(unk_token="<unk>", **suffix), N.Lowercase(), P.Whitespace(), {**special, **suffix}
    affix = {"continuing_subword_prefix": "##"}
    yield "affix", bpe(unk_token="<unk>", **affix), None, P.WhitespaceSplit(), {**special, **affix}
    word_piece = Tokenizer(models.WordPiece(unk_token="<unk>"))
    yield "wordPiece", word_piece, N.BertNormalizer(), P.BertPreTokenizer(), special
    unigram = Tokenizer(models.Unigram())
    yield "unigram", unigram, N.NFKC(), P.Metaspace(), {**special, "unk_token": "<unk>"}


def decoder(name, tokenizer, pre_tokenizer):
    if "ByteLevel" in repr(pre_tokenizer):
        return decoders.ByteLevel()
    if isinstance(pre_tokenizer, P.Metaspace):
        return decoders.Metaspace(prepend_scheme=pre_tokenizer.prepend_scheme)
    if name == "suffix":
        return decoders.BPEDecoder()
    if name in ("affix", "wordPiece"):
        return decoders.WordPiece(cleanup=name == "wordPiece")
    if name == "unfused":
        return None
    replace = decoders.Replace(Regex("[\u2581]") if name == "fused" else "\u2581", " ")
    return decoders.Sequence([replace, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


TRAINERS = {
    "BPE": trainers.BpeTrainer,
    "WordPiece": trainers.WordPieceTrainer,
    "Unigram": trainers.UnigramTrainer,
}
expected = {}
for name, tokenizer, normalizer, pre_tokenizer, options in kinds():
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    trainer = TRAINERS[type(tokenizer.model).__name__](vocab_size=700, show_progress=False, **options)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens(["<sep>", AddedToken("hello", single_word=True), AddedToken("X<", normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", lstrip=True), AddedToken("<|im_start|>", rstrip=True)])
    start = tokenizer.token_to_id("<s>")
    if start is not None:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    if decoder(name, tokenizer, pre_tokenizer):
        tokenizer.decoder = decoder(name, tokenizer, pre_tokenizer)
    tokenizer.save(os.path.join(folder, name + ".json"))
    ids = {}
    for special in [False, True]:
        tokenizer.encode_special_tokens = not special
        ids["tokens" if special else "text"] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    numbers = random.Random(name)
    lists = ids["tokens"] + [[numbers.randrange(tokenizer.get_vocab_size() + 3) for _ in range(40)] for _ in range(20)]
    # Several bytes in a row, of which some are no UTF-8.
    lists += [[numbers.randrange(2, 300) for _ in range(30)] for _ in range(20)]
    decoded = [[tokenizer.decode(each, skip_special_tokens=skip) for skip in [True, False]] for each in lists]
    expected[name] = {"start": start, "size": tokenizer.get_vocab_size(), **ids, "lists": lists, "decoded": decoded}
print(json.dumps(expected))
