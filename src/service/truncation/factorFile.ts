import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { attempt, resolveTarget } from '../../files/wholeFile.ts';
import type { Factors } from '../../network/variant.ts';

interface Place {
  readonly at: number;
  readonly b: number;
  readonly a: number;
}

/**
 * Factors that wait beside a result until they are written, because those of a large network fill the memory. The file
 * is gone when `use` is over.
 * @throws RankscopeError 'write-failed'; what `use` throws
 */
export async function withFactorFile<Result>(out: string, use: (file: FactorFile) => Promise<Result>): Promise<Result> {
  const target = await resolveTarget(out);
  const path = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.partial`);
  const handle = await attempt(out, () => open(path, 'wx+'));
  try {
    return await use(new FactorFile(out, handle));
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}

class FactorFile {
  private readonly places = new Map<string, Place>();
  private end = 0;

  constructor(
    private readonly out: string,
    private readonly handle: FileHandle,
  ) {}

  /** Keeps the factors of a matrix; those of the same name before are forgotten. */
  async put(name: string, { b, a }: Factors): Promise<void> {
    this.places.set(name, { at: this.end, b: b.length, a: a.length });
    for (const values of [b, a]) {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      for (let done = 0; done < bytes.length; ) {
        const at = this.end + done;
        const { bytesWritten } = await attempt(this.out, () => this.handle.write(bytes, done, undefined, at));
        done += bytesWritten;
      }
      this.end += bytes.length;
    }
  }

  has(name: string): boolean {
    return this.places.has(name);
  }

  async take(name: string): Promise<Factors> {
    const place = this.places.get(name);
    if (!place) throw new RankscopeError('engine', name, 'has no factors');
    const b = await this.read(place.at, place.b);
    return { b, a: await this.read(place.at + b.byteLength, place.a) };
  }

  private async read(from: number, length: number): Promise<Float32Array> {
    const values = new Float32Array(length);
    const bytes = new Uint8Array(values.buffer);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await attempt(this.out, () =>
        this.handle.read(bytes, done, bytes.length - done, from + done),
      );
      if (bytesRead === 0) throw new RankscopeError('write-failed', this.out, 'a temporary file was cut short');
      done += bytesRead;
    }
    return values;
  }
}

export type { FactorFile };
