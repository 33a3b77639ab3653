"""Singular values of row-major f32 matrices by LAPACK in f64.

stdin: lines "ROWS COLS PATH"; stdout: the values of each, descending, as little-endian f64.
"""
import sys
import numpy

for line in sys.stdin:
    rows, cols, path = line.rstrip("\n").split(" ", 2)
    matrix = numpy.fromfile(path, dtype="<f4").astype("f8").reshape(int(rows), int(cols))
    values = numpy.linalg.svd(matrix, compute_uv=False)
    sys.stdout.buffer.write(values.astype("<f8").tobytes())
