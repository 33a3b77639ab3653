import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from .model import source


def windows_of(
    args: argparse.Namespace, config: Any, usual: Callable[[int], int] | None = None
) -> tuple[Tensor, dict[str, Any]]:
    """The windows of the text (windows x tokens), and what became of it. `usual`: their length for so many tokens.

    The whole text is tokenized without special tokens and cut into windows without overlap; the remainder is dropped. A
    start token stands in front of each window only where the tokenizer adds one by itself.
    """
    name = args.ids or args.text
    if name is None:
        raise SystemExit("name a text with --text, or token ids with --ids")
    if args.ids:
        ids, tokenizer = read_ids(args.ids), None
        start = start_of_ids(args, ids, config)
        ids = ids[len(start) :] if ids[: len(start)] == start else ids
    else:
        text = read_text(args.text)
        tokenizer = tokenizer_of(args)
        ids, start = encode(tokenizer, text), start_of(tokenizer)
    longest = context_of(config)
    context = args.context or min(longest, usual(len(ids)) if usual else min(2048, args.tokens or longest))
    if not max(2, len(start) + 1) <= context <= longest:
        raise SystemExit(f"a window of {context} tokens: the model takes 2 to {longest}")
    taken = context - len(start)
    count = min(len(ids) // taken, (args.tokens or len(ids) + context) // context)
    if count == 0:
        raise SystemExit(f"{name}: it has {len(ids)} tokens, fewer than the {taken} of a window, or --tokens allows none")
    rows = torch.tensor(ids[: count * taken]).view(count, taken)
    windows = torch.cat([torch.tensor([start] * count, dtype=rows.dtype).view(count, -1), rows], 1)
    embedding = getattr(config.get_text_config(), "vocab_size", None)
    if embedding is not None and windows.max() >= embedding:
        raise SystemExit(f"{name}: token {windows.max()} has no row in the embedding of {embedding}; use its tokenizer")
    return windows, {
        "name": os.path.basename(name),
        "tokens": len(ids),
        "windows": count,
        "context": context,
        "scored": count * (context - 1),
        "dropped": len(ids) - count * taken,
        "startToken": start[0] if start else None,
        "tokenizer": f"{type(tokenizer).__name__} of transformers" if tokenizer else f"ids in {os.path.basename(name)}",
    }


def read_text(path: str) -> str:
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SystemExit(f"{path}: byte {error.start} is not UTF-8; save the text as UTF-8") from error
    if not text.strip() or "\0" in text:
        raise SystemExit(f"{path}: it is {'binary' if text.strip() else 'empty'}; name a text in UTF-8")
    return text


def tokenizer_of(args: argparse.Namespace) -> Any:
    file, settings = (os.path.join(args.model, name) for name in ("tokenizer.json", "tokenizer_config.json"))
    if os.path.exists(file) and not os.path.exists(settings):
        # The class that fits the model's type would add special tokens of its own, which the model may lack.
        return PreTrainedTokenizerFast(tokenizer_file=file)
    try:
        return AutoTokenizer.from_pretrained(**source(args))
    except (OSError, ValueError) as error:
        found = f"transformers finds no tokenizer in {args.model}: {error}"
        raise SystemExit(f"{found}\nEncode the text with another tool, and name the file of ids with --ids") from error


def read_ids(path: str) -> list[int]:
    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    try:
        ids = json.loads(text) if text.lstrip().startswith("[") else [int(word) for word in text.replace(",", " ").split()]
        if not all(type(each) is int and each >= 0 for each in ids):
            raise ValueError("not all are whole numbers from 0 on")
        return ids
    except ValueError as error:
        raise SystemExit(f"{path}: not a list of token ids: {error}") from error


def encode(tokenizer: Any, text: str) -> list[int]:
    # Special tokens that are written out in the text, such as </s>, are text.
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def start_of(tokenizer: Any) -> list[int]:
    """What the tokenizer puts in front of a text by itself."""
    bare, whole = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    return next((whole[:at] for at in range(len(whole)) if whole[at : at + len(bare)] == bare), [])


def start_of_ids(args: argparse.Namespace, ids: list[int], config: Any) -> list[int]:
    """What the tokenizer puts in front of a text; without one, the usual start token if the ids begin with it."""
    try:
        return start_of(tokenizer_of(args))
    except (Exception, SystemExit):  # Whatever is missing or unknown, the ids are there.
        usual = getattr(config, "bos_token_id", None)
        return ids[:1] if ids[:1] == [usual] else []


def context_of(config: Any) -> int:
    """Positions that the model was made for; some models have no limit."""
    config = config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    sizes = [getattr(config, name, None) for name in names]
    return next((size for size in sizes if isinstance(size, int) and size > 0), 2048)
