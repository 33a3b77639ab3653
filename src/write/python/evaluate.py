import time

import torch
import transformers

from .command import arguments, device_name, device_of, run, say, write_json
from .measure import compare, measure, score
from .model import load_model
from .settings import CHECKPOINT
from .variants import load_weights, variants_of
from .windows import windows_of


def main() -> None:
    args = arguments("Measures how well the model predicts the text, as it is and compressed.")
    begin = time.monotonic()
    device = device_of(args.device)
    model = load_model(args, load_weights)
    windows, text = windows_of(args, model.config)
    variants = variants_of(args, model, device)
    models = [each.model.to(device) for each in variants]
    names = ["the model", *(each.description["name"] for each in variants)]
    losses, comparisons = measure([model.to(device), *models], names, windows, args.batch)
    result = {
        "format": "rankscope.evaluation/1",
        "source": "transformers",
        "checkpoint": {**CHECKPOINT, "path": args.model},
        "text": text,
        "dense": score(losses[0]),
        "variants": [
            {**variant.description, **score(own), **compare(own, losses[0], *comparison)}
            for variant, own, comparison in zip(variants, losses[1:], comparisons)
        ],
        "engine": {
            "name": f"transformers {transformers.__version__}",
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "reason": f"torch {torch.__version__} on {device}, in {model.dtype}",
        },
        "seconds": time.monotonic() - begin,
        "notes": [],
    }
    say(f"{text['scored']} tokens scored in {text['windows']} windows of {text['context']}, {text['dropped']} dropped")
    for name, own in zip(names, [result["dense"], *result["variants"]]):
        say(f"{name}: perplexity {own['perplexity']:.4f}")
    write_json(args.out, result)
