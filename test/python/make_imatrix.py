"""Writes an importance matrix with llama.cpp's own Python library, as llama-imatrix does.

Usage: make_imatrix.py FILE JSON: a list of {"name", "sums": a list for each expert, "counts"}.
"""

import json
import sys

import gguf
import numpy as np

writer = gguf.GGUFWriter(sys.argv[1], arch="")
writer.kv_data[0].pop("general.architecture", None)
writer.add_type(gguf.GGUFType.IMATRIX)
writer.add_array("imatrix.datasets", ["wiki.train.raw"])
writer.add_uint32("imatrix.chunk_count", 4)
writer.add_uint32("imatrix.chunk_size", 512)
for entry in json.loads(sys.argv[2]):
    writer.add_tensor(entry["name"] + ".in_sum2", np.array(entry["sums"], dtype=np.float32))
    writer.add_tensor(entry["name"] + ".counts", np.array(entry["counts"], dtype=np.float32).reshape(-1, 1))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
