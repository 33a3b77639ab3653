import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from '../byteSource.ts';
import { MAX_NESTING, MAX_TENSORS } from '../limits.ts';

/** An array in a msgpack file, as flax.serialization writes it: extension 1 holding (shape, type name, bytes). */
export interface MsgpackArray {
  readonly path: readonly string[];
  readonly shape: readonly number[];
  /** numpy's name, e.g. `float32`. */
  readonly type: string;
  readonly offset: number;
  readonly bytes: number;
}

const WINDOW = 65_536;
/** Everything but arrays is short. */
const MAX_TEXT = 65_536;

/** Finds the arrays of a msgpack file of nested maps, reading their headers only. */
export class MsgpackSearch {
  readonly arrays: MsgpackArray[] = [];
  private at = 0;
  private window: Uint8Array = new Uint8Array(0);
  private windowAt = 0;
  private values = 0;

  constructor(
    private readonly source: ByteSource,
    private readonly signal?: AbortSignal | undefined,
  ) {}

  async run(): Promise<readonly MsgpackArray[]> {
    await this.value([], 0);
    if (this.at !== this.source.size) throw this.malformed(`${this.source.size - this.at} bytes follow its content`);
    return this.arrays;
  }

  private async value(path: readonly string[], depth: number): Promise<string | number | undefined> {
    if (depth > MAX_NESTING) throw this.malformed(`it nests deeper than ${MAX_NESTING} levels`);
    if (++this.values > 4 * MAX_TENSORS) throw this.malformed('it holds more values than any checkpoint');
    const code = await this.number(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.map(code & 15, path, depth);
    if (code < 0xa0) return this.list(code & 15, path, depth);
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
        return this.skip(await this.number(1 << (code - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.extension(await this.number(1 << (code - 0xc7)), path);
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
        return this.extension(1 << (code - 0xd4), path);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(await this.number(1 << (code - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.list(await this.number(code === 0xdc ? 2 : 4), path, depth);
      case 0xde:
      case 0xdf:
        return this.map(await this.number(code === 0xde ? 2 : 4), path, depth);
      default:
        throw this.malformed(`0x${code.toString(16)} at ${this.at - 1} begins no value`);
    }
  }

  private async map(count: number, path: readonly string[], depth: number): Promise<undefined> {
    for (let i = 0; i < count; i++) {
      const key = await this.value(path, depth + 1);
      if (key === undefined) throw this.malformed(`a key at ${this.at} is no text`);
      await this.value([...path, String(key)], depth + 1);
    }
  }

  private async list(count: number, path: readonly string[], depth: number): Promise<undefined> {
    for (let i = 0; i < count; i++) await this.value([...path, String(i)], depth + 1);
  }

  /** The content of extension 1 is itself msgpack: a list of shape, type name and bytes. */
  private async extension(length: number, path: readonly string[]): Promise<undefined> {
    const type = await this.number(1);
    const end = this.at + length;
    if (type !== 1) return this.skip(length);
    if ((await this.number(1)) !== 0x93) throw this.malformed(`the array ${path.join('.')} is broken`);
    const shape: number[] = [];
    const dimensions = await this.listLength();
    for (let i = 0; i < dimensions; i++) {
      const size = await this.value([], MAX_NESTING);
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
        throw this.malformed(`the array ${path.join('.')} has a broken shape`);
      shape.push(size);
    }
    const name = await this.value([], MAX_NESTING);
    const code = await this.number(1);
    if (typeof name !== 'string' || code < 0xc4 || code > 0xc6)
      throw this.malformed(`the array ${path.join('.')} is broken`);
    const bytes = await this.number(1 << (code - 0xc4));
    if (this.at + bytes !== end) throw this.malformed(`the array ${path.join('.')} is broken`);
    this.arrays.push({ path, shape, type: name, offset: this.at, bytes });
    return this.skip(bytes);
  }

  private async listLength(): Promise<number> {
    const code = await this.number(1);
    if (code >= 0x90 && code < 0xa0) return code & 15;
    throw this.malformed(`a shape at ${this.at} is broken`);
  }

  private async text(length: number): Promise<string> {
    if (length > MAX_TEXT) throw this.malformed(`it has a text of ${length} bytes`);
    return Buffer.from(await this.take(length)).toString('utf8');
  }

  private skip(length: number): undefined {
    this.at += length;
    if (this.at > this.source.size) throw this.malformed('it is cut off');
  }

  /** A big-endian number of 1, 2, 4 or 8 bytes. */
  private async number(length: number): Promise<number> {
    let value = 0;
    for (const byte of await this.take(length)) value = value * 256 + byte;
    return value;
  }

  private async take(length: number): Promise<Uint8Array> {
    if (this.at + length > this.source.size) throw this.malformed('it is cut off');
    if (this.at < this.windowAt || this.at + length > this.windowAt + this.window.length) {
      this.windowAt = this.at;
      this.window = await this.source.read(
        this.at,
        Math.min(Math.max(WINDOW, length), this.source.size - this.at),
        this.signal,
      );
    }
    const start = this.at - this.windowAt;
    this.at += length;
    return this.window.subarray(start, start + length);
  }

  private malformed(found: string): RankscopeError {
    return new RankscopeError('malformed', this.source.name, found, 'It is damaged, or no Flax checkpoint');
  }
}
