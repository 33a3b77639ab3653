/*
 * The bounds on what a file may claim, or make this process allocate. The file is not trusted, so every size read
 * from it is checked against one of these and against the length of the file before memory is taken. Each bound is far
 * above what real checkpoints have.
 */

// Any checkpoint

/** Bytes decoded at once by any reader: large enough to keep a disk busy, small beside one matrix. */
export const CHUNK_BYTES = 4 << 20;

/** Bytes of a file that detection looks at: enough for every magic number and the first keys of a JSON file. */
export const HEAD_BYTES = 4096;

/** Memory that the directories of one checkpoint may take together, besides the share below (`allowance.ts`). */
export const MAX_DIRECTORY_BYTES = 96 << 20;

/** The share of a file's size that its directory may take in addition: real tensors have thousands of bytes each. */
export const DIRECTORY_SHARE_OF_FILE = 1 / 128;

/**
 * Tensors in one checkpoint. The largest mixture-of-experts models have about 150,000; each takes some 300 bytes in
 * memory.
 */
export const MAX_TENSORS = 500_000;

/** Experts of one layer, and layers of one network: far more than any model has. */
export const MAX_EXPERTS = 10_000;
export const MAX_LAYERS = 10_000;

/** Dimensions of one tensor: NumPy's own bound. Real tensors have at most 8. */
export const MAX_DIMENSIONS = 64;

/** Nested containers that are searched for tensors. */
export const MAX_NESTING = 64;

/**
 * Characters of a metadata text that are kept: people only look at the beginning of a chat template or a training
 * configuration.
 */
export const MAX_SHOWN_TEXT = 2000;

// Folders and shards

/** Entries of a folder that are searched for a checkpoint, and folders inside it. */
export const MAX_FOLDER_ENTRIES = 100_000;
export const MAX_LISTED_FOLDERS = 200;

/** Files of one checkpoint. The largest published model has some 200. */
export const MAX_SHARDS = 4096;

// JSON

/** Nested brackets. The JSON reader of the safetensors reference implementation stops at 128. */
export const MAX_JSON_DEPTH = 127;

/** Bytes of a JSON file that is read whole, such as an index. The index of 150,000 tensors has 15 MB. */
export const MAX_JSON_FILE = 64 << 20;

/** Skipped values of unknown keys in a header. The reference writer of safetensors writes none. */
export const MAX_SKIPPED_VALUES = 1_000_000;

/** Bytes of a configuration beside a checkpoint. Most have a few KB; the names of 20,000 classes make it one MB. */
export const MAX_CONFIGURATION = 2 << 20;

/** Memory that all configurations of one adapter may take. The allowance of its checkpoint ends with opening it. */
export const MAX_CONFIGURATION_MEMORY = 32 << 20;

/** Characters of one value of a configuration that are kept for display. */
export const MAX_SHOWN_SETTING = 1000;

// Zip archives

/** Entries of an archive. A PyTorch file has one per tensor storage. */
export const MAX_ZIP_ENTRIES = 300_000;

/** Bytes of an archive's central directory: the entries above, with long names. */
export const MAX_ZIP_DIRECTORY = 64 << 20;

/** Bytes of the comment behind the end record, whose length field has 16 bits. */
export const MAX_ZIP_COMMENT = 65_535;

/**
 * Bytes between an entry's data and the next entry: a data descriptor, and the extra field of the entry's own header.
 */
export const MAX_ZIP_GAP = 65_535 + 24;

/** Bytes of an entry that is read as one text, such as a version number. */
export const MAX_ZIP_TEXT = 65_536;

/** Bytes that deflate can make of one byte; an entry that claims more lies. */
export const MAX_DEFLATE_RATIO = 1032;

// Pickles

/** Bytes of a pickle without its tensors. That of 100,000 tensors has some 20 MB. */
export const MAX_PICKLE_BYTES = 64 << 20;

/** Opcodes of one pickle. A tensor takes some 60. */
export const MAX_PICKLE_STEPS = 20_000_000;

/** Values on the stack. Python's own pickler stays near a thousand. */
export const MAX_PICKLE_STACK = 1_000_000;

/** Memo keys out of sequence. Picklers number what they remember from 0 or 1 on. */
export const MAX_PICKLE_ODD_KEYS = 10_000;

/** Bytes of an integer. PyTorch's magic number has 10. */
export const MAX_PICKLE_INTEGER = 1024;

/** Distinct names that the pickles of one file would import. A pickled model of many classes has some 300. */
export const MAX_PICKLE_GLOBALS = 10_000;

/** Length of such a name, and the dotted parts that may follow its module. */
export const MAX_GLOBAL_LENGTH = 1000;
export const MAX_GLOBAL_PARTS = 16;

// PyTorch

/**
 * Memory, size and number of the pickles in an archive that `torch.load` ignores and that are only scanned for
 * dangerous names.
 */
export const MAX_SCAN_MEMORY = 16 << 20;
export const MAX_SCANNED_BYTES = 1 << 20;
export const MAX_SCANNED_PICKLES = 100;

/** Members of a tar archive, the form before 2016: it has four. */
export const MAX_TAR_MEMBERS = 1000;

/** Channels of a quantized tensor, whose scales are held while its values are read. */
export const MAX_CHANNELS = 1 << 22;

/** Elements of a sparse tensor that is read as a dense one: a gigabyte of 32-bit floats. */
export const MAX_DENSE_ELEMENTS = 2 ** 28;

// Safetensors

/** Bytes of a header: the reference reader's own bound. */
export const MAX_SAFETENSORS_HEADER = 100_000_000;

// GGUF

/** Bytes of a header. Vocabularies of 256,000 entries with their merges take about 20 MB. */
export const MAX_GGUF_HEADER = 64 << 20;

/** Metadata entries. Real files have some 50, those of the tokenizer included. */
export const MAX_GGUF_ENTRIES = 10_000;

/** Bytes of a name or key: ggml's own bound on keys. It bounds names of tensors at 64 bytes. */
export const MAX_GGUF_NAME = 65_535;

/** Dimensions of a tensor: ggml's own bound. */
export const MAX_GGUF_DIMENSIONS = 4;

/** Bytes that data may be aligned to. The default is 32. */
export const MAX_GGUF_ALIGNMENT = 65_536;

// HDF5 and Keras

/** Bytes of one structure, such as an object header or a B-tree node. Real ones have a few KB. */
export const MAX_HDF5_PIECE = 16 << 20;

/**
 * Structures read, as multiples of the file's size. Each is needed once or twice; more means that they lead in circles.
 */
export const MAX_HDF5_READINGS = 8;

/** Bytes of structures that may be read in addition, so that the multiple does not bound tiny files. */
export const HDF5_BASE_READING = 1 << 20;

/** Nested groups. Keras nests one or two per layer. */
export const MAX_HDF5_GROUP_DEPTH = 64;

/** Messages of one object header. Keras writes about ten. */
export const MAX_HDF5_MESSAGES = 100_000;

/** Attributes of one object that are looked at. Keras writes five. */
export const MAX_HDF5_ATTRIBUTES = 4096;

/** Bytes of an attribute's name. Keras writes at most 20. */
export const MAX_HDF5_ATTRIBUTE_NAME = 1024;

/**
 * Bytes of an attribute's text that are read, more than the characters shown. The configuration of a Keras model has
 * some 100 KB.
 */
export const MAX_HDF5_TEXT = 8192;

/** Levels of a B-tree: 2^63 entries need no more. */
export const MAX_HDF5_TREE_DEPTH = 32;

/** Bits of a place in a fractal heap: the reference library's own bound, since blocks double from row to row. */
export const MAX_HDF5_HEAP_BITS = 64;

/** Bytes of heap blocks that are kept for the next object. Most blocks have 64 KB. */
export const MAX_HDF5_KEPT_BLOCKS = 32 << 20;

/** Objects of a fractal heap that are too large for its blocks. */
export const MAX_HDF5_HUGE_OBJECTS = 100_000;

/**
 * Chunks of one dataset. A matrix of a gigabyte in h5py's smallest chunks has 100,000; each takes 20 bytes in memory.
 */
export const MAX_HDF5_CHUNKS = 2_000_000;

/** Bits of an element's number in an extensible array of chunks: the width of the largest counter that HDF5 stores. */
export const MAX_HDF5_ARRAY_BITS = 64;

/** Bits of an element's number in a page of a fixed array. The library's default is 10. */
export const MAX_HDF5_PAGE_BITS = 20;

/** Filters of one dataset: the reference library's own bound. */
export const MAX_HDF5_FILTERS = 32;

/**
 * Bytes of a filtered chunk. It is decoded whole, with up to three copies at a time. h5py's own chunks have up to 1 MB.
 */
export const MAX_HDF5_FILTERED_CHUNK = 64 << 20;

/** The factor by which filters may make a chunk longer: deflate adds less than 0.1 %. */
export const MAX_HDF5_CHUNK_GROWTH = 1.1;

/** Bytes of a kernel in cuDNN's order, which is converted whole. */
export const MAX_CUDNN_KERNEL = 1 << 28;

/**
 * Bytes of the weights in a `.keras` archive if they are compressed, which makes them unpacked whole. Keras stores them
 * plain.
 */
export const MAX_KERAS_UNPACKED = 64 << 20;

// TensorFlow

/** Bytes of a block of an index. The writer begins a new one after 256 KB. */
export const MAX_TABLE_BLOCK = 64 << 20;

/** Bytes of a key. Keys share their beginnings, so a small file could describe endless ones. */
export const MAX_TABLE_KEY = 10_000;

/** Fields of one entry. Real ones have five, and one for each dimension. */
export const MAX_ENTRY_FIELDS = 200;

// ONNX

/** Fields of a model that are stepped over. A graph of 100,000 nodes has some 1.5 million. */
export const MAX_MESSAGE_FIELDS = 2_000_000;

/** Nested graphs, inside If, Loop and Scan. Real models stop at about 3. */
export const MAX_GRAPH_DEPTH = 32;

/** Bytes of a name, a key or another short text. */
export const MAX_ONNX_TEXT = 65_536;

/**
 * Bytes of values that are listed as varints. They are meant for small constants, and finding one means reading all
 * before it.
 */
export const MAX_LISTED_BYTES = 16 << 20;

// Flax

/** Bytes of anything that is not the data of an array: keys, type names and other texts. */
export const MAX_MSGPACK_TEXT = 65_536;

/** Values of one file: a few for each tensor. */
export const MAX_MSGPACK_VALUES = 4 * MAX_TENSORS;

// NumPy

/** Bytes of a header: NumPy's own bound. */
export const MAX_NUMPY_HEADER = 10_000;

// llama2.c

/** Any size in a header, such as the vocabulary or the width. The largest real ones are below 300,000. */
export const MAX_LLAMA2C_SIZE = (1 << 24) - 1;

/** Layers of a model. The largest real models have some 130. */
export const MAX_LLAMA2C_LAYERS = 10_000;

// Vocabularies

/** Tokens of a vocabulary, merges of two of them, and items of any list in a GGUF file. Gemma has 262,144 tokens. */
export const MAX_VOCABULARY = 1 << 21;

/** UTF-16 units of one token. The longest real ones are runs of some 500 spaces. */
export const MAX_TOKEN_LENGTH = 65_536;

/** Bytes of a vocabulary that is not JSON, or of a list in a GGUF file. */
export const MAX_VOCABULARY_BYTES = 64 << 20;

/** Memory that reading a `tokenizer.json` may take. Gemma's takes some 260 MB, of which most is freed again. */
export const MAX_TOKENIZER_MEMORY = 600 << 20;

/** Characters of a regular expression in a `tokenizer.json`. Real ones have some 400. */
export const MAX_PATTERN_LENGTH = 10_000;

/** Bytes of a file of token ids. */
export const MAX_IDS_FILE = 1 << 28;

/** Bytes of a text that is encoded. All of WikiText-2 has 13 MB. */
export const MAX_TEXT_FILE = 1 << 28;

// Quantized layouts

/** Bytes of the JSON text with which bitsandbytes describes a quantized tensor. Real ones have about 200. */
export const MAX_QUANTIZATION_STATE = 10_000;
