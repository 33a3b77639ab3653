"""Perplexity of the sample model on test/fixtures/texts/stories.txt with transformers: dense, and with every matrix of
the blocks truncated to rank 16 and 24 by an SVD in float64. Windows of 64 tokens, or of 256 (the model's context);
the first token of each is not scored.

usage: story_perplexity.py; prints what test/fixtures/texts/stories.json holds
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURES = Path(__file__).parent.parent / "fixtures"

torch.set_num_threads(1)
config = LlamaConfig(**json.loads((FIXTURES / "sample/config.json").read_text()))
model = LlamaForCausalLM(config).eval()
weights = {name: tensor.float() for name, tensor in load_file(FIXTURES / "sample/model.safetensors").items()}
missing, unexpected = model.load_state_dict(weights, strict=False)
assert set(missing) <= {"lm_head.weight"} and not unexpected, (missing, unexpected)
model.tie_weights()

text = (FIXTURES / "texts/stories.txt").read_text()
tokenizer = Tokenizer.from_file(str(FIXTURES / "sample/tokenizer.json"))
ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)


@torch.no_grad()
def losses(context=64):
    windows = ids[: len(ids) // context * context].view(-1, context)
    logits = model(windows).logits[:, :-1].double()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction="none")


dense = losses()
result = {
    "tokens": len(ids),
    "dense": dense.mean().exp().item(),
    "denseOf256": losses(256).mean().exp().item(),
    "ranks": {},
}
for rank in (16, 24):
    for name, module in model.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            u, s, v = torch.linalg.svd(weights[f"model.layers.{name}.weight"].double(), full_matrices=False)
            module.weight.data = ((u[:, :rank] * s[:rank]) @ v[:rank]).float()
    cut = losses()
    difference = cut - dense
    result["ranks"][str(rank)] = {
        "perplexity": cut.mean().exp().item(),
        "difference": difference.mean().item(),
        "differenceError": (difference.std(unbiased=True) / len(difference) ** 0.5).item(),
    }
print(json.dumps(result, indent=2))
