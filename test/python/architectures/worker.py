"""Makes small models, and judges what generated code makes of them.

Reads one request from each line of standard input, and answers each with a line:

{"do": "list"} -> {"types": [...], "autos": {class: [Auto classes that open it]}, "transformers": version,
    "torch": version}
{"do": "make", "type": T, "folder": F} -> {"class": ..., "folder": F/model}, or
    {"cannot": "build" | "run" | "save", "reason": ...}
{"do": "judge folder", "folder": F, "out": ...} -> the same on a folder with factors in place of the weights of that model
{"do": "judge", "folder": F, "result": ..., "code": ..., "findings": [...]} -> the verdict on the model made last
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# Libraries print to standard output as well.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import torch
import transformers
from build import Built, CannotBuild, CannotRun, auto_classes, build, model_types, said
from folder import judge_folder
from judge import judge

built: Built | None = None


def make(request: dict[str, Any]) -> dict[str, Any]:
    global built
    built = None
    folder = Path(request["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        built = build(request["type"])
    except CannotRun as error:
        return {"cannot": "run", "reason": str(error)}
    except Exception as error:
        return {"cannot": "build", "reason": str(error) if isinstance(error, CannotBuild) else said(error)}
    found = {
        "class": type(built.model).__name__,
        "way": built.way,
        "inputs": sorted(built.inputs),
        "folder": str(folder / "model"),
    }
    try:
        built.model.save_pretrained(folder / "model")
        loaded = type(built.model).from_pretrained(folder / "model")
    except Exception as error:
        return {**found, "cannot": "save", "reason": said(error)}
    # What transformers cannot load back as it was saved is no measure of others.
    saved = {name: value for name, value in loaded.state_dict().items()}
    lost = [
        name for name, value in built.model.state_dict().items() if name not in saved or not same(value, saved[name])
    ]
    if lost:
        return {**found, "cannot": "save", "reason": f"transformers itself loads other values of {', '.join(lost[:3])}"}
    return found


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(torch.nan_to_num(a.float()), torch.nan_to_num(b.float())))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "list":
        versions = {"transformers": transformers.__version__, "torch": torch.__version__}
        return {"types": model_types(), "autos": auto_classes(), **versions}
    if request["do"] == "make":
        return make(request)
    folder = Path(request["folder"])
    if request["do"] == "judge folder":
        return judge_folder(built, folder / "model", Path(request["out"]))
    return judge(built, folder / "model", Path(request["result"]), Path(request["code"]), request["findings"])


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:
        reply = {"failed": said(error)}
    answers.write(json.dumps(reply) + "\n")
    answers.flush()
