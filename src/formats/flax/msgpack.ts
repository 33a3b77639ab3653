import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { MAX_DIMENSIONS, MAX_MSGPACK_TEXT, MAX_MSGPACK_VALUES, MAX_NESTING } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';

/**
 * An array in a msgpack file, as flax.serialization writes it: an extension of type 1 with (shape, type name, bytes).
 */
export interface MsgpackArray {
  readonly name: string;
  readonly shape: readonly number[];
  /** NumPy's name of the type, e.g. `float32`. */
  readonly type: string;
  /**
   * Where its bytes are, in order. Arrays larger than the 2^30 bytes that flax writes as one value have several pieces.
   */
  readonly pieces: readonly { readonly offset: number; readonly bytes: number }[];
}

/** Bytes of the file held at a time. */
const WINDOW = 1 << 18;
/** The most bytes that a value takes, apart from the data of an array: a string, or an array's shape and type name. */
const MAX_HEAD = MAX_MSGPACK_TEXT + 1024;

/**
 * The key by which flax marks a chunked array (above 2^30 bytes): a map of its shape and its chunks, each keyed by its
 * number.
 */
const CHUNKED = '__msgpack_chunked_array__';

/** A map or list that is being read. */
interface Level {
  readonly isMap: boolean;
  /** Values still to be read; keys count too in a map. */
  left: number;
  /** The key of the next value. */
  key: string;
  index: number;
  chunked?: { shape: number[]; chunks: Omit<MsgpackArray, 'name'>[] };
}

type Scalar = string | number | undefined;

/** Finds the arrays in a msgpack file of nested maps without reading their data. */
export class MsgpackSearch {
  private readonly arrays: MsgpackArray[] = [];
  private readonly levels: Level[] = [];
  /** Whether the last value opened a map or list. */
  private opened = false;
  private at = 0;
  private window: Uint8Array = new Uint8Array(0);
  private windowAt = 0;

  constructor(
    private readonly source: ByteSource,
    private readonly allowance: Allowance,
    private readonly signal?: AbortSignal | undefined,
  ) {}

  async run(): Promise<readonly MsgpackArray[]> {
    for (let values = 0; ; values++) {
      if (values > MAX_MSGPACK_VALUES) throw this.malformed(`it contains more than ${MAX_MSGPACK_VALUES} values`);
      // Most values take a few bytes, so the loop awaits only when the window has to move.
      if (!this.holds(Math.min(MAX_HEAD, this.source.size - this.at))) await this.move();
      const scalar = this.value();
      const level = this.levels.at(-1);
      if (level && !this.opened) this.place(level, scalar);
      this.opened = false;
      this.leave();
      if (this.levels.length === 0) break;
    }
    if (this.at !== this.source.size)
      throw this.malformed(`${this.source.size - this.at} extra bytes follow its content`);
    return this.arrays;
  }

  /** Records a scalar by its position: as a key, or as a dimension of a chunked array. */
  private place(level: Level, scalar: Scalar): void {
    level.left--;
    if (level.isMap && level.left % 2 === 1) {
      if (scalar === undefined) throw this.malformed(`the key at byte ${this.at} is not a string`);
      level.key = String(scalar);
      if (level.key === CHUNKED) level.chunked = { shape: [], chunks: [] };
      return;
    }
    const around = this.levels.at(-2);
    if (around?.chunked && around.key === 'shape') {
      const { shape } = around.chunked;
      if (typeof scalar !== 'number' || level.key !== String(shape.length) || shape.length >= MAX_DIMENSIONS)
        throw this.malformed('the shape of a chunked array is invalid');
      shape.push(scalar);
    }
    level.key = String(++level.index);
  }

  /** Leaves every map and list that is complete. */
  private leave(): void {
    for (let level = this.levels.at(-1); level?.left === 0; level = this.levels.at(-1)) {
      this.levels.pop();
      if (level.chunked) this.addChunked(level.chunked);
      const around = this.levels.at(-1);
      if (around) around.left--;
      if (around && !around.isMap) around.key = String(++around.index);
    }
  }

  private enter(isMap: boolean, count: number): undefined {
    if (this.levels.length > MAX_NESTING) throw this.malformed(`it is nested more than ${MAX_NESTING} levels deep`);
    const level = this.levels.at(-1);
    if (level?.isMap && level.left % 2 === 0) throw this.malformed(`the key at byte ${this.at} is not a string`);
    this.levels.push({ isMap, left: isMap ? 2 * count : count, key: '0', index: 0 });
    this.opened = true;
    return undefined;
  }

  private value(): Scalar {
    const code = this.number(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.enter(true, code & 15);
    if (code < 0xa0) return this.enter(false, code & 15);
    if (code < 0xc0) return this.text(code & 31);
    if (code >= 0xe0) return code - 256;
    switch (code) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return undefined;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.skip(this.number(1 << (code - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.extension(this.number(1 << (code - 0xc7)));
      case 0xca:
        return this.skip(4);
      case 0xcb:
        return this.skip(8);
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.number(1 << (code - 0xcc));
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.skip(1 << (code - 0xd0));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.extension(1 << (code - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.number(1 << (code - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.enter(false, this.number(code === 0xdc ? 2 : 4));
      case 0xde:
      case 0xdf:
        return this.enter(true, this.number(code === 0xde ? 2 : 4));
      default:
        throw this.malformed(`byte ${this.at - 1} has the invalid type code 0x${code.toString(16)}`);
    }
  }

  /** The payload of an extension of type 1 is msgpack too: a list of shape, type name and bytes. */
  private extension(length: number): undefined {
    const type = this.number(1);
    const end = this.at + length;
    if (type !== 1) return this.skip(length);
    const invalid = () => this.malformed(`the array ${this.name()} is invalid`);
    if (this.number(1) !== 0x93) throw invalid();
    const dimensions = this.number(1) - 0x90;
    if (dimensions < 0 || dimensions > 15) throw invalid();
    const shape = Array.from({ length: dimensions }, () => this.scalar());
    const dtype = this.scalar();
    const code = this.number(1);
    if (!isShape(shape) || typeof dtype !== 'string' || code < 0xc4 || code > 0xc6) throw invalid();
    const bytes = this.number(1 << (code - 0xc4));
    if (this.at + bytes !== end) throw invalid();
    this.add({ shape, type: dtype, pieces: [{ offset: this.at, bytes }] });
    return this.skip(bytes);
  }

  /** A number or string; undefined for any other scalar. */
  private scalar(): Scalar {
    const value = this.value();
    if (this.opened) throw this.malformed(`the array ${this.name()} is invalid`);
    return value;
  }

  private add(array: Omit<MsgpackArray, 'name'>): void {
    const around = this.levels.at(-2);
    if (around?.chunked && around.key === 'chunks') {
      if (this.levels.at(-1)?.key !== String(around.chunked.chunks.length))
        throw this.malformed('the chunks of an array are out of order');
      this.allowance.spend(300);
      around.chunked.chunks.push(array);
      return;
    }
    const length = this.levels.reduce((sum, level) => sum + level.key.length + 1, 0);
    this.allowance.spendTensor(3 * length, array.shape.length);
    this.arrays.push({ ...array, name: this.name() });
  }

  private addChunked({ shape, chunks }: NonNullable<Level['chunked']>): void {
    const [first] = chunks;
    if (!first) return;
    if (chunks.some(({ type }) => type !== first.type))
      throw this.malformed(`the chunks of the array ${this.name()} differ in type`);
    this.add({ shape, type: first.type, pieces: chunks.flatMap(({ pieces }) => pieces) });
  }

  private name(): string {
    return this.levels.map(({ key }) => key).join('.');
  }

  private text(length: number): string {
    if (length > MAX_MSGPACK_TEXT)
      throw this.malformed(`it contains a string of ${length} bytes; at most ${MAX_MSGPACK_TEXT} are allowed`);
    return Buffer.from(this.take(length)).toString('utf8');
  }

  private skip(length: number): undefined {
    this.at += length;
    if (this.at > this.source.size) throw this.malformed('it is cut off');
    return undefined;
  }

  /** An unsigned big-endian integer of 1, 2, 4 or 8 bytes. */
  private number(length: number): number {
    let value = 0;
    for (const byte of this.take(length)) value = value * 256 + byte;
    return value;
  }

  private take(length: number): Uint8Array {
    if (!this.holds(length)) throw this.malformed('it is cut off');
    const start = this.at - this.windowAt;
    this.at += length;
    return this.window.subarray(start, start + length);
  }

  private holds(length: number): boolean {
    return this.at >= this.windowAt && this.at + length <= this.windowAt + this.window.length;
  }

  private async move(): Promise<void> {
    this.windowAt = this.at;
    this.window = await this.source.read(this.at, Math.min(WINDOW, this.source.size - this.at), this.signal);
  }

  private malformed(found: string): RankscopeError {
    return new RankscopeError('malformed', this.source.name, found, 'It is damaged or not a Flax checkpoint');
  }
}

function isShape(values: readonly Scalar[]): values is number[] {
  return values.every((size) => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0);
}
