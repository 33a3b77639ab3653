/** Every bound on a size that was read from a file nobody vouches for. Each is far above what real checkpoints have. */

/** Bytes decoded at once by any reader: large enough to keep a disk busy, small beside one matrix. */
export const CHUNK_BYTES = 4 << 20;

/** Bytes of a file that detection looks at; covers every magic number and the first keys of a JSON file. */
export const HEAD_BYTES = 4096;

/** Tensors in one checkpoint. The largest mixture-of-experts models have about 150,000; each costs some 300 bytes here. */
export const MAX_TENSORS = 500_000;

/** Dimensions of one tensor: what numpy allows. Real ones have at most 8. */
export const MAX_DIMENSIONS = 64;

/** Length of a safetensors header: the reference reader's own bound. */
export const MAX_SAFETENSORS_HEADER = 100_000_000;

/** Nested brackets in a header. The reference JSON reader stops at 128. */
export const MAX_JSON_DEPTH = 127;

/** A JSON file read whole (an index, a configuration). The index of 150,000 tensors has 15 MB. */
export const MAX_JSON_FILE = 64 << 20;

/** Files one checkpoint may be spread over. The largest published model has some 200. */
export const MAX_SHARDS = 4096;

/** Entries of a folder that are looked at to find the checkpoint in it. */
export const MAX_FOLDER_ENTRIES = 100_000;
