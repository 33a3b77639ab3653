/** Every bound on a size that was read from a file nobody vouches for. Each is far above what real checkpoints have. */

/** Bytes decoded at once by any reader: large enough to keep a disk busy, small beside one matrix. */
export const CHUNK_BYTES = 4 << 20;

/** Bytes of a file that detection looks at; covers every magic number and the first keys of a JSON file. */
export const HEAD_BYTES = 4096;

/** What the directories of one checkpoint take in memory at most; a share of its files' size comes to it (`allowance.ts`). */
export const MAX_DIRECTORY_BYTES = 96 << 20;

/** Tensors in one checkpoint. The largest mixture-of-experts models have about 150,000; each costs some 300 bytes here. */
export const MAX_TENSORS = 500_000;

/** Dimensions of one tensor: what numpy allows. Real ones have at most 8. */
export const MAX_DIMENSIONS = 64;

/** Length of a safetensors header: the reference reader's own bound. */
export const MAX_SAFETENSORS_HEADER = 100_000_000;

/** Nested brackets in JSON. The reference JSON reader stops at 128. */
export const MAX_JSON_DEPTH = 127;

/** A JSON file read whole (an index, a configuration). The index of 150,000 tensors has 15 MB. */
export const MAX_JSON_FILE = 64 << 20;

/** Files one checkpoint may be spread over. The largest published model has some 200. */
export const MAX_SHARDS = 4096;

/** Entries of a folder that are looked at to find the checkpoint in it. */
export const MAX_FOLDER_ENTRIES = 100_000;

/** Length of a name or key in a GGUF file: ggml's own bound on keys (names of tensors have at most 64 bytes there). */
export const MAX_GGUF_NAME = 65_535;

/** A GGUF header. Vocabularies of 256,000 entries with their merges take about 20 MB. */
export const MAX_GGUF_HEADER = 64 << 20;

/** Metadata entries of a GGUF file. Real ones have some 50, with a tokenizer's as well. */
export const MAX_GGUF_ENTRIES = 10_000;

/** Entries of a zip archive; a PyTorch file has one per tensor storage. */
export const MAX_ZIP_ENTRIES = 300_000;

/** Size of a zip archive's directory: the entries above, with long names. */
export const MAX_ZIP_DIRECTORY = 64 << 20;

/** Deflate cannot make more than this many bytes of one; an entry that claims more lies. */
export const MAX_DEFLATE_RATIO = 1032;

/** A pickle without its tensors. That of 100,000 tensors has some 20 MB. */
export const MAX_PICKLE_BYTES = 64 << 20;

/** Opcodes of one pickle. A tensor takes some 60. */
export const MAX_PICKLE_STEPS = 20_000_000;

/** Values waiting on the stack of a pickle. Python's own pickler stays near a thousand. */
export const MAX_PICKLE_STACK = 1_000_000;

/** Different names that the pickles of one file would import. A pickled model of many classes has some 300. */
export const MAX_PICKLE_GLOBALS = 10_000;

/** Length of such a name, and the parts that dots divide it into behind its module. */
export const MAX_GLOBAL_LENGTH = 1000;
export const MAX_GLOBAL_PARTS = 16;

/** Nested containers that are searched for tensors. */
export const MAX_NESTING = 64;

/** A block of a TensorFlow index; the writer begins a new one after 256 KB. */
export const MAX_TABLE_BLOCK = 64 << 20;

/** Fields of an ONNX model that are stepped over. A graph of 100,000 nodes has some 1.5 million. */
export const MAX_MESSAGE_FIELDS = 2_000_000;
