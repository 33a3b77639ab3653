"""Small models of every model type, with random weights that all matter."""

import os
import re

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")

import importlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import transformers
from torch import nn
from transformers import CONFIG_MAPPING
from transformers.models.auto import modeling_auto

from inputs import candidates
from shrink import WAYS, fit_sections, small_kwargs

warnings.simplefilter("ignore")
torch.set_num_threads(1)

MAX_PARAMETERS = 16_000_000
# Processor time after which no further way is tried.
MAX_SECONDS = 6

# Of the classes for a model type the first in this order is built: those that compute what it is known for come first.
TASKS = [
    "SPEECH_SEQ_2_SEQ",
    "SEQ_TO_SEQ_CAUSAL_LM",
    "IMAGE_TEXT_TO_TEXT",
    "MULTIMODAL_LM",
    "MASKED_LM",
    "CAUSAL_LM",
    "VISION_2_SEQ",
    "IMAGE_CLASSIFICATION",
    "OBJECT_DETECTION",
    "CTC",
    "",
    "TEXT_ENCODING",
    "BACKBONE",
]


@dataclass
class Built:
    model: nn.Module
    config: Any
    inputs: dict[str, Any]
    way: str


def model_types() -> list[str]:
    """All model types of which there are models."""
    return [name for name in CONFIG_MAPPING.keys() if name in classes()]


def auto_classes() -> dict[str, list[str]]:
    """The `Auto` classes of transformers that open each model class."""
    found: dict[str, list[str]] = {}
    for auto, cls in vars(modeling_auto).items():
        mapping = getattr(getattr(cls, "_model_mapping", None), "_model_mapping", {})
        for names in mapping.values() if auto.startswith("Auto") else ():
            for name in [names] if isinstance(names, str) else names:
                found.setdefault(name, []).append(auto)
    return found


@cache
def classes() -> dict[str, list[str]]:
    """The names of the model classes of each model type, the one to build first."""
    mappings = {
        name: found for name, found in vars(modeling_auto).items() if re.fullmatch("MODEL_.*MAPPING_NAMES", name)
    }
    known = [f"MODEL_FOR_{task}_MAPPING_NAMES" if task else "MODEL_MAPPING_NAMES" for task in TASKS]
    found: dict[str, list[str]] = {}
    for mapping in dict.fromkeys([*known, *sorted(mappings)]):
        for model_type, names in mappings.get(mapping, {}).items():
            found.setdefault(model_type, []).extend([names] if isinstance(names, str) else names)
    return {model_type: list(dict.fromkeys(names)) for model_type, names in found.items()}


def model_class(model_type: str) -> Iterator[type]:
    for name in classes()[model_type]:
        found = getattr(transformers, name, None)
        if found is None:
            found = class_in_module(model_type, name)
        if found is not None:
            yield found


def class_in_module(model_type: str, name: str) -> type | None:
    module = CONFIG_MAPPING[model_type].__module__.replace(".configuration_", ".modeling_")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def build(model_type: str, log=lambda line: None) -> Built:
    """Returns the first small model of this type that runs.

    Raises CannotRun or CannotBuild, with the first reason found, where there is none.
    """
    config_class = CONFIG_MAPPING[model_type]
    failures = {"build": "", "run": ""}
    started = time.process_time()
    for way in WAYS:
        for cls in list(model_class(model_type))[:3]:
            if time.process_time() - started > MAX_SECONDS:
                break
            try:
                model, config = instance(config_class, cls, model_type, way)
            except Exception as error:
                log(f"{way} {cls.__name__}: {said(error)}")
                failures["build"] = failures["build"] or said(error)
                continue
            inputs, reason = running_inputs(model, log)
            if inputs is not None:
                return Built(model, config, inputs, way)
            log(f"{way} {cls.__name__} run: {reason}")
            failures["run"] = failures["run"] or f"{cls.__name__}: {reason}"
    if failures["run"]:
        raise CannotRun(failures["run"])
    raise CannotBuild(failures["build"])


class CannotBuild(RuntimeError):
    pass


class CannotRun(RuntimeError):
    pass


def instance(config_class: type, cls: type, model_type: str, way: str) -> tuple[nn.Module, Any]:
    config = config_class(**small_kwargs(config_class, model_type, way))
    # Once for what the constructor reads, once more for modules of other models that it uses.
    fit_sections(config, {cls.__module__})
    with torch.device("meta"):
        empty = cls(config)
    fit_sections(config, {type(module).__module__ for module in empty.modules()})
    count = sum(parameter.numel() for parameter in empty.parameters())
    if count > MAX_PARAMETERS:
        raise ValueError(f"{count:,} parameters")
    torch.manual_seed(0)
    model = cls(config).eval().float()
    randomize(model)
    return model, model.config


def randomize(model: nn.Module) -> None:
    """Makes every parameter matter: at initialization many are zero or so small that a wrong one would not be seen."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.is_floating_point() or parameter.numel() < 2:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() < 2:
                if float(parameter.std()) < 1e-3:
                    parameter.add_(0.1 * noise)
            elif float(parameter.std()) < 0.08 or not torch.isfinite(parameter).all():
                fan = parameter[0].numel() if parameter.dim() != 3 else parameter.shape[-1]
                parameter.copy_(noise / max(fan, 4) ** 0.5)


def running_inputs(model: nn.Module, log) -> tuple[dict[str, Any] | None, str]:
    reason = "no inputs are known for its forward"
    for inputs in candidates(model):
        try:
            found = outputs(model, inputs)
        except Exception as error:
            log(f"   {sorted(inputs)}: {said(error)}")
            if reason.startswith("no inputs"):
                reason = said(error)
            continue
        if found:
            return inputs, ""
        reason = "its outputs are no tensors, or not finite"
    return None, reason


def outputs(model: nn.Module, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Every floating-point tensor in the output, by its place; caches are left out."""
    torch.manual_seed(3)
    with torch.no_grad():
        copies = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
        found = model(**copies)
    tensors: dict[str, torch.Tensor] = {}
    collect(found, "output", tensors)
    return tensors


def collect(value: Any, place: str, tensors: dict[str, torch.Tensor]) -> None:
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and value.numel() > 0 and bool(torch.isfinite(value).any()):
            tensors[place] = value.detach().float()
    elif isinstance(value, dict):
        for key, inner in value.items():
            collect(inner, f"{place}.{key}", tensors)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            collect(inner, f"{place}.{index}", tensors)


def said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:240]
