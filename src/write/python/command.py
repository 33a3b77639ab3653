import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from .settings import CONTEXT, IDS, MODEL, OUT, TEXT, TOKENS


def arguments(description: str, **more: dict[str, Any]) -> argparse.Namespace:
    """What the command line says, or else the values above. `more` are options of this script alone."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="folder of the model, or its file")
    parser.add_argument("--text", default=TEXT, help="text file in UTF-8")
    parser.add_argument("--ids", default=IDS, help="file of token ids, in place of a text")
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens of a window")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="use at most so many tokens")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), OUT))
    parser.add_argument("--force", action="store_true", help="replace the result if it exists")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one")
    parser.add_argument("--dtype", choices=("float32", "model"), default="float32", help="model: its own type")
    parser.add_argument("--batch", type=int, default=None, help="windows at once (by default some 2048 tokens)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python code that the model brings along")
    for name, option in more.items():
        parser.add_argument(f"--{name}", **option)
    args = parser.parse_args()
    if args.ids == IDS and args.text != TEXT:
        args.ids = None  # The command line names a text.
    if os.path.exists(args.out) and not args.force:
        raise SystemExit(f"{args.out}: the file already exists; name another one with --out, or add --force")
    if not os.path.isdir(os.path.dirname(os.path.abspath(args.out))):
        raise SystemExit(f"{args.out}: there is no such folder")
    if args.batch is not None and args.batch < 1:
        raise SystemExit(f"--batch {args.batch}: at least one window is needed")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return args


def run(main: Callable[[], None]) -> None:
    """Ends quietly on Ctrl-C; results are renamed when they are complete, so that nothing is left half-written."""
    try:
        main()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)


def device_of(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class Progress:
    """Tells on stderr what is done and how long the rest will take."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.begin = self.told = time.monotonic()

    def step(self, count: int, what: str) -> None:
        self.done += count
        now, last = time.monotonic(), self.done >= self.total
        if not last and now - self.told < (0.5 if sys.stderr.isatty() else 10):
            return
        self.told = now
        left = (now - self.begin) / self.done * (self.total - self.done)
        line = f"{self.done} of {self.total} {what}" + ("" if last else f", {left:.0f} s left")
        print(f"\r{line:<70}" if sys.stderr.isatty() else line, end="" if not last and sys.stderr.isatty() else "\n",
              file=sys.stderr, flush=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write_whole(path: str, fill: Callable[[Any], None]) -> None:
    """Writes a file beside `path`, which gets that name when it is complete."""
    beside = f"{path}.{os.getpid()}.partial"
    try:
        with open(beside, "xb") as file:
            fill(file)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def write_json(path: str, result: dict[str, Any]) -> None:
    # Results that are not finite are refused before.
    text = json.dumps(result, indent=1, allow_nan=False)
    write_whole(path, lambda file: file.write(text.encode()))
    say(f"written to {path}")
