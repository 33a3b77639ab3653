"""The measures of WeightWatcher and diffract-core for every matrix of a safetensors file, by the tools' own interfaces.

python otherTools.py FILE    prints {tool: {version, matrices: {name: {measure: value}}}} as JSON

All tensors of FILE are F32 matrices (out, in). Each becomes the weight of a linear layer for WeightWatcher, with its default settings, and an
array for diffract. Measures that a tool could not compute are missing.
"""

import contextlib
import io
import json
import logging
import math
import sys

import numpy as np
import torch
from safetensors.numpy import load_file


def finite(values):
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def weightwatcher(matrices):
    import weightwatcher as ww

    logging.getLogger("weightwatcher").setLevel(logging.ERROR)
    model = torch.nn.Module()
    for index, matrix in enumerate(matrices.values()):
        layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
        layer.weight = torch.nn.Parameter(torch.from_numpy(matrix))
        model.add_module(f"matrix{index}", layer)
    details = ww.WeightWatcher(model=model).analyze(plot=False, savefig=False)
    found = {}
    names = list(matrices)
    for _, row in details.iterrows():
        columns = [
            "alpha", "D", "xmin", "num_evals", "num_pl_spikes", "norm", "log_norm", "spectral_norm", "log_spectral_norm",
            "stable_rank", "matrix_rank", "entropy", "sv_max",
        ]
        if row.get("status", "success") != "success":
            columns = [name for name in columns if name not in ("alpha", "D", "xmin")]
        found[names[int(row["longname"].removeprefix("matrix"))]] = finite(
            {name: row[name] for name in columns if name in row and row[name] is not None}
        )
    return {"version": ww.__version__, "matrices": found}


def diffract(matrices):
    import diffract as tool

    fields = ("stable_rank", "effective_rank", "hard_rank", "frob_norm", "l2_norm", "pl_alpha", "pl_ks", "pl_esd_xmin")
    names = list(matrices)
    found = {name: {} for name in names}
    with tool.Session(profile="ram") as session:
        session.models.add({f"matrix{index}": matrix for index, matrix in enumerate(matrices.values())}, model_id="m")
        session.compute.configure_kernel("power_law_fit", fit_method="powerlaw")
        session.compute.apply(*fields)
        for entry in session.results.export_metrics(*fields, export_format="list"):
            key = next(str(value) for value in entry.values() if str(value).startswith("matrix"))
            found[names[int(key.removeprefix("matrix"))]].update(
                finite({name: entry[name] for name in fields if entry.get(name) is not None})
            )
    return {"version": tool.__version__, "matrices": found}


def main():
    matrices = {name: np.ascontiguousarray(value, np.float32) for name, value in load_file(sys.argv[1]).items()}
    with contextlib.redirect_stdout(io.StringIO()):
        found = {"WeightWatcher": weightwatcher(matrices), "diffract-core": diffract(matrices)}
    print(json.dumps(found))


main()
