/** One tensor of a checkpoint as its directory describes it; no value has been read. */
export interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  /** The stored type by its usual name: F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I64 .. U8, BOOL, or a ggml type such as Q4_0. */
  readonly dtype: string;
  /** Stored size in bytes. */
  readonly bytes: number;
  /**
   * Identity of the stored bytes: equal for tensors that share storage (file, offset, length and strides), so that a tied
   * matrix is analyzed and counted once. Also the key by which results are cached.
   */
  readonly storage: string;
  /**
   * Whether a weight is stored as (in, out): a Keras kernel, the right operand of an ONNX MatMul. All sizes but the last are
   * then inputs. Left out where the format does not say.
   */
  readonly transposed?: boolean;
  /** Index into `Checkpoint.files` of the file that holds the bytes. */
  readonly file: number;
}

/** A file a checkpoint was read from, as it was when it was opened. */
export interface FileIdentity {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
}

/** What a reader found suspicious in a file that can execute code when loaded by others (a pickle). */
export interface SecurityFinding {
  readonly grade: 'dangerous' | 'suspicious' | 'unknown';
  /** The global's full name, e.g. `posix.system`. */
  readonly subject: string;
  readonly explanation: string;
}

/** An opened checkpoint: the whole directory, and values by range. Every format is read through this one contract. */
export interface Checkpoint {
  /** The path the user named: a file, an index or a folder. */
  readonly path: string;
  /** e.g. `safetensors`, `gguf`, `pytorch`. */
  readonly format: string;
  readonly files: readonly FileIdentity[];
  /** Total size of the files in bytes. */
  readonly bytes: number;
  readonly tensors: readonly TensorInfo[];
  readonly metadata: ReadonlyMap<string, string>;
  /** Oddities that do not stop the reading, one sentence each. */
  readonly warnings: readonly string[];
  readonly security: readonly SecurityFinding[];

  /**
   * Decodes `out.length` elements of `tensor`, row-major from element `start`, into `out`.
   * Memory beyond `out` is bounded by a constant.
   * @throws RankscopeError 'changed' when a file is no longer the one that was opened, 'unsupported' for a type without numbers.
   */
  read(tensor: TensorInfo, start: number, out: Float32Array, signal?: AbortSignal): Promise<void>;

  /**
   * Fills `out` with the stored bytes of `tensor` (row-major, little-endian, `bytes` long in all) from `offset`, and gives it back: for
   * carrying it over unchanged, and for devices that decode. undefined where the format stores it in a way safetensors cannot hold
   * (quantized blocks, strides).
   */
  readStored?(
    tensor: TensorInfo,
    offset: number,
    out: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> | undefined;

  /**
   * The standard deviation of the error that quantization left in `length` elements of `tensor` from `start` on, estimated from the widths
   * of its steps by a bounded sample; undefined for what is not quantized, or in a way of which nothing can be said.
   */
  quantizationDeviation?(
    tensor: TensorInfo,
    start: number,
    length: number,
    signal?: AbortSignal,
  ): Promise<number | undefined> | undefined;

  close(): Promise<void>;
}
