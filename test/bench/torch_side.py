"""The other side of `npm run bench`: runs the routines that lines of JSON on stdin name, by torch or, where a question
says "peer": "numpy", by NumPy, and answers each with its time.

{"routine": "values" | "vectors" | "product" | "triangle" | "moments" | "rank" | "preview", "file": raw float32, "rows": m, "cols": n}  ->  {"seconds": s, "cpu": c, "values": [...]}
{"routine": "decode", "encoding": "BF16" | "F16" | "F8_E4M3", "file": raw numbers of that type, ...}  ->  {"seconds": s, "cpu": c, "values": []}
{"routine": "truth", ...}  ->  {"values": [...]} by LAPACK in float64.
"""
import json
import sys
import time

import numpy
import torch

torch.set_num_threads(int(sys.argv[1]))  # NumPy's BLAS reads OPENBLAS_NUM_THREADS, which the parent set.
kept = {}


TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F8_E4M3": torch.float8_e4m3fn}


def load(file, rows, cols, encoding):
    if file not in kept:
        kept.clear()
        kept[file] = torch.from_numpy(numpy.fromfile(file, dtype="u1")).view(TYPES[encoding]).reshape(rows, cols)
    return kept[file]


def by_numpy(routine, a):
    if routine == "values":
        return numpy.linalg.svd(a, compute_uv=False).tolist()
    if routine == "vectors":
        return numpy.linalg.svd(a, full_matrices=False).S.tolist()
    if routine == "triangle":
        numpy.linalg.qr(a if a.shape[0] >= a.shape[1] else a.T, mode="r")
    elif routine == "moments":
        sum(rows.T @ rows for rows in numpy.split(a, len(a) // 2048))
    else:
        a @ a.T
    return []


def answer(routine, file, rows, cols, encoding="F32", peer="torch"):
    a = load(file, rows, cols, encoding)
    if routine == "truth":
        return {"values": numpy.linalg.svd(a.numpy().astype(numpy.float64), compute_uv=False).tolist()}
    start, cpu = time.perf_counter(), time.process_time()
    if peer == "numpy":
        result = by_numpy(routine, a.numpy())
    elif routine in ("values", "preview"):  # what a preview saves is the time of the exact values
        result = torch.linalg.svdvals(a).tolist()
    elif routine == "vectors":
        result = torch.linalg.svd(a, full_matrices=False).S.tolist()
    elif routine == "rank":
        torch.manual_seed(1)
        result = torch.svd_lowrank(a, q=266, niter=4)[1][:256].tolist()
    elif routine == "decode":
        a.float()
        result = []
    elif routine == "triangle":
        torch.linalg.qr(a if rows >= cols else a.T, mode="r")
        result = []
    elif routine == "moments":
        sum(rows.T @ rows for rows in a.split(2048))
        result = []
    else:
        a @ a.T
        result = []
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "values": result}


blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
print(json.dumps({"torch": torch.__version__, "numpy": f"{numpy.__version__} with {blas['name']} {blas['version']}"}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(**json.loads(line))), flush=True)
