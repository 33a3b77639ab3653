import argparse
import copy
import os
import time
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn

from .blocks import Blocks
from .candidates import candidates_of, norm_names
from .command import Progress, arguments, device_name, device_of, run, say, write_json
from .compression_text import Text, text_of
from .cut_layers import Group, as_in, block_in_f32, copy_to_cut, matrix_of, stages_of
from .factorized import factor_dtype, write_factorized
from .measure import compare, measure, score
from .model import load_model, stored_tensors
from .plain import load_weights
from .plan_by_loss import Layer, measure_layers, spread_by_loss
from .plan_file import plan_of
from .refinement import refine
from .settings import CHECKPOINT, EVALUATE, KEEP, RATE, SECOND_RATE, SEED, STEPS
from .truncation import truncate

RIDGE, FLOOR = 0.1, 0.3
# Of a step of the refinement, and on which the loss of a cut is measured.
BATCH_TOKENS, LOSS_TOKENS = 2048, 1024


class Compressed(NamedTuple):
    """The blocks with low-rank layers, what became of each, and what the file gets, by the names of the checkpoint."""

    blocks: list[nn.Module]
    reports: list[dict[str, Any]]
    # B (m x k) and A (k x n).
    factors: dict[str, tuple[Tensor, Tensor]]
    norms: dict[str, Tensor]
    # The relative Frobenius error of B A.
    errors: dict[str, float]
    transposed: set[str]


def main() -> None:
    args = arguments(
        "Compresses the model with the smallest loss on the text.",
        keep=dict(type=float, default=KEEP, help="share of the parameters to keep of the matrices that may be cut"),
        evaluate=dict(default=EVALUATE, help="a second text, to measure on (by default a part of the text)"),
        steps=dict(type=int, default=STEPS, help="of the refinement of each block; 0 for none"),
        rate=dict(type=float, default=RATE, help="of Adam, at its height"),
        seed=dict(type=int, default=SEED, help="for sampling, where there is no text"),
    )
    begin = time.monotonic()
    plan_file, report_file = results_of(args)
    torch.manual_seed(args.seed)
    device = device_of(args.device)
    model = load_model(args, load_weights).requires_grad_(False).to(device)
    text = text_of(args, model)
    blocks = Blocks(model)
    state = stored_tensors(model, args.model)
    layers, notes = candidates_of(blocks, state)
    notes = [*text.notes, *notes]

    loss_windows = text.calibration[: max(1, LOSS_TOKENS // text.facts["context"])].to(device)
    estimate = estimate_of(blocks, layers, loss_windows, text, args.steps)
    together = max(1, BATCH_TOKENS // text.facts["context"])
    batches = [ids.to(device) for ids in text.calibration.split(together)]
    groups = measure_layers(blocks, layers, batches, loss_windows)
    everything = [layer for own in layers for layer in own]
    spread_by_loss(everything, args.keep, FLOOR)
    plan = plan_of(args, everything, text, loss_windows.numel(), state, time.monotonic() - begin)
    held = [ids.to(device) for ids in text.held_out.split(together)]
    result = compress(blocks, layers, groups, batches, held, state, args)

    # The blocks take the places of those that they were made from, wherever a copy of the model refers to them.
    memo = {id(own): own for own in [*model.parameters(), *model.buffers()]}
    memo.update((id(block), made) for block, made in zip(blocks.list, result.blocks))
    compressed = copy.deepcopy(model, memo)
    measured = [("calibration windows", text.calibration[: len(text.measured)]), (text.measured_name, text.measured)]
    calibration, unseen = (before_and_after(model, compressed, *each, args.batch) for each in measured)
    parameters = write_factorized(args.out, state, result, plan["request"], args.model)
    write_json(plan_file, plan)
    notes += [f"Block {each['layer'] + 1} was not refined: {each['reason']}." for each in result.reports if each["reason"]]
    short = [layer for layer in everything if 0 < layer.tokens < layer.shape[1]]
    if short:
        notes.append(f"{len(short)} of {len(everything)} matrices saw fewer tokens than they have columns; take a longer text.")
    for note in [*notes, *filter(None, [plan.get("unmet")])]:
        say(note)
    totals = plan["totals"]
    say(f"kept: {totals['keptShare']:.1%} of what may be cut, {totals['keptShareOfModel']:.1%} of the model")
    for name, both in (("calibration", calibration), ("unseen", unseen)):
        before, after = both["dense"]["perplexity"], both["compressed"]["perplexity"]
        say(f"{name}: perplexity {before:.4f} before, {after:.4f} after, in {both['windows']} windows")
    write_json(report_file, {
        "format": "rankscope.compression/1",
        "source": "transformers",
        "checkpoint": {**CHECKPOINT, "path": args.model},
        "out": args.out,
        "planFile": plan_file,
        "code": None,
        "text": text.facts,
        "method": {
            "spread": "loss",
            "measured": sum(layer.tails is not None for layer in everything),
            "filledIn": 0,
            "measureTokens": loss_windows.numel(),
            "ridge": RIDGE,
            "refinement": {"steps": args.steps, "rate": args.rate} if args.steps else None,
            "seed": args.seed,
        },
        "size": {
            "keep": args.keep,
            "totals": plan["totals"],
            "parametersBefore": CHECKPOINT["parameters"],
            "parametersAfter": parameters,
            "bytesBefore": CHECKPOINT["bytes"],
            "bytesAfter": os.path.getsize(args.out),
        },
        "calibration": calibration,
        "unseen": unseen,
        "blocks": result.reports,
        "matrices": [
            {"name": each.name, "rank": each.rank, "predictedError": each.error(), "measuredError": result.errors[each.name]}
            for each in everything
            if each.rank is not None
        ],
        "smokeTest": None,
        "estimate": estimate,
        "resumedBlocks": 0,
        "engine": {
            "name": f"transformers {transformers.__version__}",
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "reason": f"torch {torch.__version__} on {device}, in {model.dtype}",
        },
        "seconds": time.monotonic() - begin,
        "notes": notes,
    })


def results_of(args: argparse.Namespace) -> list[str]:
    """The files of the plan and the report, beside the compressed model."""
    if not 0 < args.keep < 1:
        raise SystemExit(f"--keep {args.keep}: give a share between 0 and 1")
    if args.steps < 0 or not args.rate > 0:
        raise SystemExit(f"--steps {args.steps} --rate {args.rate}: give a number from 0 on, and a rate above 0")
    stem = args.out.removesuffix(".safetensors")
    files = [f"{stem}.plan.json", f"{stem}.compression.json"]
    existing = [file for file in files if os.path.exists(file)]
    if existing and not args.force:
        raise SystemExit(f"{existing[0]}: the file already exists; name another result with --out, or add --force")
    return files


@torch.no_grad()
def compress(
    blocks: "Blocks", layers: "list[list[Layer]]", groups: "list[list[Group]]", batches: list[Tensor], held: list[Tensor],
    state: dict[str, Tensor], args: argparse.Namespace
) -> Compressed:
    """Cuts block after block, each on what the compressed blocks before it give, and trains it to be the dense one."""
    result = Compressed([], [], {}, {}, {}, set())
    names_of_norms = norm_names(blocks, state)
    ids, count = [*batches, *held], len(batches)
    tokens = sum(each.numel() for each in batches)
    dense_stream: list[Tensor | None] = [None] * len(ids)
    stream = dense_stream
    progress = Progress(len(layers))
    for at, (own, norms) in enumerate(zip(layers, names_of_norms)):
        begin = time.monotonic()
        original = blocks.list[at]
        dense = block_in_f32(original)
        dense_calls = [blocks.call(at, *each) for each in zip(ids, dense_stream)]
        calls = [blocks.call(at, *each) for each in zip(ids, stream)]
        dense_stream = [call.run(dense) for call in dense_calls]
        block = copy_to_cut(dense)
        cut = [layer for layer in own if layer.rank is not None]
        ranks = {layer.path: layer.rank for layer in cut}
        truncate(block, dense, stages_of(groups[at]), ranks, calls[:count], dense_calls[:count], tokens, RIDGE)
        report = {"losses": [], "before": None, "after": None, "refined": False, "reason": None}
        if cut and args.steps:
            targets = dense_stream[:count], dense_stream[count:]
            both = calls[:count], targets[0], calls[count:], targets[1]
            report = refine(block, list(norms), *both, args.steps, args.rate)
            # A rate that suits most blocks is too much for some: early ones, whose relative error is small.
            if not report["refined"] and report["before"] is not None:
                report = refine(block, list(norms), *both, args.steps, args.rate * SECOND_RATE)
        # From here on, the block is what the file will hold.
        for layer in cut:
            module, dtype = block.get_submodule(layer.path), factor_dtype(layer.name)
            factors = [module.lowrank_b.weight, module.lowrank_a.weight]
            result.factors[layer.name] = tuple(each.to(dtype).cpu() for each in factors)
            for each, rounded in zip(factors, result.factors[layer.name]):
                each.data.copy_(rounded)
            weight = matrix_of(original.get_submodule(layer.path))
            result.errors[layer.name] = ((weight - factors[0] @ factors[1]).norm() / weight.norm()).item()
            if layer.transposed:
                result.transposed.add(layer.name)
        for path, name in norms.items() if report["refined"] else []:
            own_norm = block.get_parameter(path)
            result.norms[name] = own_norm.to(state[name].dtype).cpu()
            own_norm.data.copy_(result.norms[name])
        stream = [call.run(block) for call in calls]
        result.blocks.append(as_in(block, original, blocks.model.dtype))
        sizes = {"cut": len(cut), "dense": len(own) - len(cut)}
        result.reports.append({"layer": at, **sizes, **report, "seconds": time.monotonic() - begin})
        change = f", error {report['before']:.2e} -> {report['after']:.2e}" if report["losses"] else ""
        progress.step(1, f"blocks compressed, {sizes['cut']} of {len(own)} matrices cut{change}")
    return result


def before_and_after(
    model: nn.Module, compressed: nn.Module, name: str, windows: Tensor, batch: int | None
) -> dict[str, Any]:
    (dense, own), [comparison] = measure([model, compressed], ["the model", "the compressed model"], windows, batch)
    return {
        "text": name,
        "windows": len(windows),
        "scored": dense.numel(),
        "dense": score(dense),
        "compressed": {**score(own), **compare(own, dense, *comparison)},
    }


def estimate_of(
    blocks: "Blocks", layers: "list[list[Layer]]", ids: Tensor, text: "Text", steps: int
) -> dict[str, Any]:
    """What it will take, from the time of one pass: half a pass for each loss, and three for each that is trained."""
    blocks.logits(ids[:1])
    begin = time.monotonic()
    blocks.logits(ids).flatten()[0].item()  # A GPU only begins before.
    window = (time.monotonic() - begin) / len(ids)
    calibration, held_out = len(text.calibration), len(text.held_out)
    seconds = {
        "plan": window * (calibration + sum(map(len, layers)) * len(ids) / 2),
        "blocks": window * (8 * calibration + steps * (3.5 * min(max(1, BATCH_TOKENS // ids.shape[1]), calibration) + held_out / 8)),
        "measure": window * 4 * len(text.measured),
    }
    model = blocks.model
    block = max(sum(4 * own.numel() for own in each.parameters()) for each in blocks.list)
    hidden = 4 * model.get_input_embeddings().embedding_dim * (calibration + held_out) * ids.shape[1]
    memory = sum(own.numel() * own.dtype.itemsize for own in model.parameters())
    total = sum(seconds.values())
    say(f"about {max(1, round(total / 60))} minutes and {(memory + 6 * block + 6 * hidden) / 1e9:.1f} GB on {model.device}")
    return {
        "seconds": seconds,
        "secondsTotal": total,
        "memoryBytes": memory + 6 * block + 6 * hidden,
        "diskBytes": 0,
        "schedule": {"steps": steps, "measureSeconds": None},
        "notes": [],
    }
