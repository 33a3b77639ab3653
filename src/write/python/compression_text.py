import argparse
import hashlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .command import say
from .windows import context_of, start_of, tokenizer_of, windows_of

# Tokens for calibration and of a window by default, and the most of a text that is only measured.
USUAL_TOKENS, USUAL_CONTEXT, MEASURED_TOKENS = 16384, 512, 8192
# Of the windows for calibration: how many as many more are held out, and unseen; of a text that has too few.
HELD_OUT, UNSEEN, LEAST_HELD_OUT, LEAST_UNSEEN = 1 / 8, 1 / 2, 0.1, 0.25


class Text(NamedTuple):
    """Windows by what they are for, none of them twice: statistics and training, checking a block, measuring."""

    calibration: Tensor
    held_out: Tensor
    measured: Tensor
    measured_name: str
    facts: dict[str, Any]
    notes: list[str]


def text_of(args: argparse.Namespace, model: nn.Module) -> Text:
    tokens = args.tokens or USUAL_TOKENS

    def usual(count: int) -> int:
        """Shorter windows for a short text, so that each purpose gets some."""
        context = min(USUAL_CONTEXT, tokens)
        while context > 32 and count < 8 * context:
            context = max(32, context // 2)
        return context

    sampled = args.text is None and args.ids is None
    windows, found = sampled_windows(args, model, tokens) if sampled else windows_of(
        argparse.Namespace(**{**vars(args), "tokens": None}), model.config, usual
    )
    name, context = found["name"], found["context"]
    split = split_windows(windows, max(1, tokens // context), name, args.evaluate is None)
    calibration, held_out, unseen = split
    measured, measured_name, notes = unseen, f"unseen windows of {name}", []
    if args.evaluate is not None:
        options = {"text": args.evaluate, "ids": None, "context": context, "tokens": max(context, MEASURED_TOKENS)}
        measured, other = windows_of(argparse.Namespace(**{**vars(args), **options}), model.config)
        measured_name = other["name"]
    if sampled:
        notes.append("No text was given: the network wrote one itself, so no figure tells of texts by people.")
    if (repeated := 1 - len(set(runs_of(calibration))) / max(1, len(runs_of(calibration)))) >= 0.5:
        notes.append(f"The calibration text repeats itself: {repeated:.0%} of its runs of 16 tokens came before.")
    known = {*runs_of(calibration), *runs_of(held_out)}
    if (shared := sum(run in known for run in runs_of(measured)) / max(1, len(runs_of(measured)))) >= 0.5:
        notes.append(
            f"{shared:.0%} of the runs of 16 tokens of the {measured_name} are in the calibration text: what is measured "
            "on them is no measure of other texts."
        )
    used = torch.cat(split)
    digest = hashlib.sha256()
    for window in used.tolist():
        digest.update(f"{len(window)}:".encode() + b"".join(each.to_bytes(4, "little") for each in window))
    purposes = {"calibration": calibration, "heldOut": held_out, "unseen": unseen}
    facts = {
        "name": None if sampled else name,
        "sampled": {"starts": len(windows), "temperature": 1, "seed": args.seed} if sampled else None,
        "digest": digest.hexdigest(),
        "tokens": found["tokens"],
        "context": context,
        "startToken": found["startToken"],
        "tokenizer": found["tokenizer"],
        **{purpose: {"windows": len(each), "tokens": each.numel()} for purpose, each in purposes.items()},
        "dropped": found["tokens"] - len(used) * (context - (found["startToken"] is not None)),
    }
    return Text(calibration, held_out, measured, measured_name, facts, notes)


def split_windows(windows: Tensor, wanted: int, name: str, with_unseen: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The first windows are for calibration, the next ones held out, the last ones unseen, as far as there are enough."""
    total, least = len(windows), 3 if with_unseen else 2
    if total < least:
        raise SystemExit(f"{name}: {total} windows of {windows.shape[1]} tokens, and at least {least} are needed; "
                         "name a longer text, or shorter windows with --context")
    held_out, unseen = (round(wanted * share + 1e-9) for share in (HELD_OUT, UNSEEN if with_unseen else 0))
    if wanted + max(1, held_out) + unseen > total:
        held_out, unseen = int(total * LEAST_HELD_OUT), max(1, int(total * LEAST_UNSEEN)) if with_unseen else 0
    held_out = max(1, held_out)
    calibration = min(wanted, total - held_out - unseen)
    return windows[:calibration], windows[calibration : calibration + held_out], windows[total - unseen :]


@torch.no_grad()
def sampled_windows(args: argparse.Namespace, model: nn.Module, tokens: int) -> tuple[Tensor, dict[str, Any]]:
    """Windows that the model writes itself, behind its start token or single tokens that its vocabulary has."""
    context = min(args.context or USUAL_CONTEXT, context_of(model.config))
    count = max(3, -(-int(tokens * (1 + HELD_OUT + UNSEEN)) // context))
    try:
        start = start_of(tokenizer_of(args))
    except (Exception, SystemExit):
        start = []
    config = model.config.get_text_config()
    usual = getattr(config, "bos_token_id", None)
    first = start[0] if start else usual if isinstance(usual, int) and usual < config.vocab_size else None
    windows = []
    say(f"the model writes {count} windows of {context} tokens")
    for _ in range(0, count, 8):
        ids = torch.full((8, 1), first) if first is not None else torch.randint(config.vocab_size, (8, 1))
        mask = torch.ones_like(ids).to(model.device)
        windows.append(model.generate(
            ids.to(model.device), attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, use_cache=True,
            min_new_tokens=context - 1, max_new_tokens=context - 1, pad_token_id=0
        ).cpu())
    name = "the text that the network wrote itself"
    return torch.cat(windows)[:count], {"name": name, "tokens": count * (context - (first is not None)),
            "context": context, "startToken": first, "tokenizer": "none: the network wrote the tokens"}


def runs_of(windows: Tensor) -> list[tuple[int, ...]]:
    """The runs of 16 tokens, which do not come twice by chance."""
    return [tuple(row[at : at + 16]) for row in windows.tolist() for at in range(max(1, len(row) - 15))]
