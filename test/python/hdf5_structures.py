"""Writes an HDF5 file for each structure of the format, and expected.json: the shape, type and values of every dataset in them.

    python hdf5_structures.py FOLDER [large] [NAME ...]

`large` adds files of structures that are too large to be kept; names (without `.h5`) keep these files only. The fixtures in
`structures` were written by HDF5 2.0 (h5py 3.16), those in `structures-1.14` by HDF5 1.14 (h5py 3.14), whose filtered chunks have
another layout: singleChunk fixedArray extensibleArray chunkTree.
"""

import ctypes
import json
import pathlib
import sys

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t

folder = pathlib.Path(sys.argv[1])
large = "large" in sys.argv[2:]
kept = [name for name in sys.argv[2:] if name != "large"]
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(7)
NEWEST = {"libver": "latest"}


def values(*shape):
    return random.integers(-64, 64, shape).astype(np.float32) / 8


def path(name):
    return str(folder / f"{name}.h5")


def low_level(file, name, data, chunks, maxshape=None, early=False, edges=False, gzip=False):
    """A dataset with properties that h5py's own creation does not offer."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk(chunks)
    if early:
        properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    if gzip:
        properties.set_deflate(4)
    if edges:
        # Chunks that hang over an edge go through no filter. h5py lacks the call, its library has it.
        library = next((pathlib.Path(h5py.__file__).parents[1] / "h5py.libs").glob("libhdf5-*.so*"))
        assert ctypes.CDLL(str(library)).H5Pset_chunk_opts(ctypes.c_int64(properties.id), 2) >= 0
    most = tuple(h5s.UNLIMITED if size is None else size for size in maxshape or data.shape)
    space = h5s.create_simple(data.shape, most)
    dataset = h5d.create(file.id, name.encode(), h5t.py_create(data.dtype), space, properties)
    dataset.write(h5s.ALL, h5s.ALL, data)


with h5py.File(path("denseGroup"), "w", **NEWEST) as file:
    for i in range(60):
        file[f"layer {i:02} of a group whose names fill more than one block"] = np.float32(i)
    file["nested/compact/kernel"] = values(3, 2)

with h5py.File(path("trackedGroup"), "w", track_order=True, **NEWEST) as file:
    for i in (3, 1, 2, 9, 8, 7, 5, 4, 6, 0):
        file[f"link {i}"] = np.float32(i)
    file["soft"] = h5py.SoftLink("/link 1")

for name, version in (("version2", "v108"), ("version3", "v110")):
    with h5py.File(path(name), "w", libver=(version, version)) as file:
        file["kernel"] = values(4, 3)
        file.create_dataset("chunked", data=values(5, 4), chunks=(2, 3))

sizes = h5p.create(h5p.FILE_CREATE)
sizes.set_sizes(4, 4)
access = h5p.create(h5p.FILE_ACCESS)
access.set_libver_bounds(h5f.LIBVER_LATEST, h5f.LIBVER_LATEST)
with h5py.File(h5f.create(path("narrow").encode(), h5f.ACC_TRUNC, sizes, access)) as file:
    for i in range(12):
        file[f"dense/{i}"] = np.float32(i)
    file.create_dataset("chunked", data=values(40), chunks=(2,), compression="gzip")

with h5py.File(path("singleChunk"), "w", **NEWEST) as file:
    file.create_dataset("plain", data=values(4, 6), chunks=(4, 6))
    file.create_dataset("packed", data=values(4, 6), chunks=(4, 6), compression="gzip", shuffle=True)
    file.create_dataset("unwritten", shape=(4, 6), chunks=(4, 6), dtype=np.float32)
    file.create_dataset("wide", data=values(9), chunks=(9,), dtype=">f8")

with h5py.File(path("implicit"), "w", **NEWEST) as file:
    low_level(file, "exact", values(6, 4), (2, 2), early=True)
    low_level(file, "edges", values(5, 7), (2, 3), early=True)
    low_level(file, "room", values(5, 3), (2, 2), maxshape=(9, 8), early=True)

with h5py.File(path("fixedArray"), "w", **NEWEST) as file:
    file.create_dataset("plain", data=values(5, 7, 3), chunks=(2, 3, 2))
    file.create_dataset("packed", data=values(5, 7), chunks=(2, 3), compression="gzip")
    file.create_dataset("room", data=values(5, 3), chunks=(2, 2), maxshape=(9, 8), compression="gzip")
    file.create_dataset("sparse", shape=(6, 4), chunks=(2, 2), dtype=np.float32, fillvalue=2.5)[2:4, 0:2] = 1

with h5py.File(path("pagedArray"), "w", **NEWEST) as file:
    dataset = file.create_dataset("pages", shape=(2300,), chunks=(1,), dtype=np.int8)
    dataset[2:4] = [1, 2]
    dataset[2290:2295] = [3, 4, 5, 6, 7]

with h5py.File(path("extensibleArray"), "w", **NEWEST) as file:
    file.create_dataset("inline", data=values(5, 3), chunks=(2, 3), maxshape=(None, 3))
    file.create_dataset("blocks", data=values(300), chunks=(2,), maxshape=(None,))
    file.create_dataset("packed", data=values(90), chunks=(2,), maxshape=(None,), compression="gzip")
    file.create_dataset("turned", data=values(5, 30, 3), chunks=(2, 1, 2), maxshape=(8, None, 3))
    dataset = file.create_dataset("far", shape=(2000,), maxshape=(None,), chunks=(1,), dtype=np.float32)
    dataset[[0, 7, 1500, 1999]] = [1, 2, 3, 4]
    file.create_dataset("unwritten", shape=(3,), chunks=(2,), maxshape=(None,), dtype=np.float32)

with h5py.File(path("pagedGrowth"), "w", **NEWEST) as file:
    dataset = file.create_dataset("pages", shape=(200000,), maxshape=(None,), chunks=(1,), dtype=np.int8)
    dataset[199998:200000] = [4, 5]

with h5py.File(path("chunkTree"), "w", **NEWEST) as file:
    file.create_dataset("plain", data=values(40, 5), chunks=(1, 2), maxshape=(None, None))
    file.create_dataset("packed", data=values(7, 5), chunks=(2, 2), maxshape=(None, None), compression="gzip")
    file.create_dataset("empty", shape=(0, 3), chunks=(2, 2), maxshape=(None, None), dtype=np.float32)

with h5py.File(path("filters"), "w", **NEWEST) as file:
    file.create_dataset("lzf", data=np.repeat(values(20), 9).reshape(12, 15), chunks=(5, 4), compression="lzf")
    file.create_dataset("lzf of noise", data=random.standard_normal((9, 9)), chunks=(9, 9), compression="lzf")
    file.create_dataset("checked", data=values(9, 3), chunks=(3, 3), fletcher32=True)
    file.create_dataset("odd", data=np.arange(21, dtype=np.int8), chunks=(7,), fletcher32=True, compression="gzip")
    file.create_dataset("all", data=values(9, 3), chunks=(4, 2), fletcher32=True, shuffle=True, compression="lzf")
    file.create_dataset("long", data=values(60, 20), chunks=(60, 20), fletcher32=True)
    low_level(file, "edges", values(5, 7), (2, 3), edges=True, gzip=True)

with h5py.File(path("refused"), "w") as file:
    file.create_dataset("scale-offset", data=np.arange(20), chunks=(10,), scaleoffset=0)
    file["kernel"] = values(2, 2)

with h5py.File(path("fillValues"), "w") as file:
    file.create_dataset("unwritten", shape=(2, 3), dtype=np.float32, fillvalue=1.5)
    file.create_dataset("sparse", shape=(5, 3), chunks=(2, 2), dtype=">f8", fillvalue=-0.25)[0:2, 0:2] = 1

with h5py.File(path("types"), "w", **NEWEST) as file:
    file["committed"] = np.dtype("<f4")
    file.create_dataset("of a committed type", data=values(3), dtype=file["committed"])
    file.create_dataset("enumeration", data=np.arange(3), dtype=h5py.enum_dtype({"a": 0, "b": 1, "c": 2}, basetype="<i4"))
    file["int16"] = np.arange(-2, 2, dtype=">i2")
    file["none"] = h5py.Empty("f4")

with h5py.File(path("attributes"), "w", **NEWEST) as file:
    file.attrs["keras_version"] = "2.15.0"
    for i in range(40):
        file.attrs[f"note {i:02}"] = f"text {i} of many"
    file.attrs["fixed"] = np.bytes_(b"of a fixed length")
    file.attrs["numbers"] = np.arange(5)
    file.attrs.create("names", [b"a", b"bc"])
    dataset = file.create_dataset("weight", data=np.array([0x3FC0, 0xC040], np.uint16).view("V2"))
    for i in range(12):
        dataset.attrs[f"other {i}"] = i
    dataset.attrs["dtype"] = "bfloat16"
    plain = file.create_dataset("plain bytes", data=np.array([1, 2], np.uint16).view("V2"))

with h5py.File(path("continued"), "w", **NEWEST) as file:
    group = file.create_group("group")
    for i in range(6):
        group[f"value {i}"] = np.float32(i)
        group.attrs[f"a longer note {i}"] = "x" * 60
    dataset = file.create_dataset("kernel", data=values(2, 2))
    for i in range(7):
        dataset.attrs[f"a longer note {i}"] = "x" * 60

if large:
    with h5py.File(path("largeGroup"), "w", **NEWEST) as file:
        for i in range(1500):
            file[f"{'layer ' * 20}{i}"] = np.float32(i)
    with h5py.File(path("largeTree"), "w", **NEWEST) as file:
        file.create_dataset("plain", data=values(90, 70), chunks=(1, 1), maxshape=(None, None))
        file.create_dataset("packed", data=values(90, 70), chunks=(2, 1), maxshape=(None, None), compression="gzip")
    with h5py.File(path("largeArrays"), "w", **NEWEST) as file:
        file.create_dataset("fixed", data=values(5000), chunks=(2,), compression="gzip")
        file.create_dataset("growing", data=values(60, 200), chunks=(1, 2), maxshape=(60, None), compression="gzip")
    with h5py.File(path("largeAttributes"), "w", **NEWEST) as file:
        for i in range(300):
            file.attrs[f"note {i}"] = f"text {i}"
        file.attrs["huge"] = np.bytes_(b"h" * 100_000)
        file.attrs["another"] = np.bytes_(b"a" * 70_000)


def numbers(dataset):
    if dataset.dtype.kind == "V":
        return None
    read = np.asarray(dataset[()], np.float64).reshape(-1)
    return read.tolist() if read.size < 4000 else {int(i): read[i] for i in np.flatnonzero(read)}


expected = {}
for file in sorted(folder.glob("*.h5")):
    if kept and file.stem not in kept:
        file.unlink()
        continue
    datasets = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset) and item.shape is not None and name != "scale-offset":
            datasets[name] = [list(item.shape), item.dtype.str, numbers(item)]

    with h5py.File(file) as opened:
        opened.visititems(take)
        texts = {name: text if isinstance(text, str) else text.decode() for name, text in opened.attrs.items() if isinstance(text, (str, bytes))}
    expected[file.name] = {"datasets": datasets, "texts": texts}
(folder / "expected.json").write_text(json.dumps(expected) + "\n")
