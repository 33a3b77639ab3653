"""Loss of the sample model on stories it has not seen, dense and with the factors of each checkpoint named.

usage: story_loss.py CODE RESULT...; prints [dense, loss of each RESULT]
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

SAMPLE = Path(__file__).parent.parent / "fixtures" / "sample"
sys.path.insert(0, str(SAMPLE))

from generate import load
from stories import corpus
from train import SEED, encode, loss_on

torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("generated", sys.argv[1])
generated = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generated)

unseen = encode(Tokenizer.from_file(str(SAMPLE / "tokenizer.json")), corpus(30, SEED + 1))
losses = [loss_on(load(SAMPLE / "model.safetensors"), unseen)]
for result in sys.argv[2:]:
    model = load(SAMPLE / "model.safetensors")
    generated.load_lowrank(model, result)
    losses.append(loss_on(model, unseen))
print(json.dumps(losses))
