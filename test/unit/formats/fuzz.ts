import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RankscopeError } from '../../../src/base/errors.ts';
import { elementCount } from '../../../src/base/shape.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { testFolder } from './folder.ts';

/** The number of mutated files per format: few in a normal test run, RANKSCOPE_FUZZ in `npm run fuzz`. */
const RUNS = Number(process.env.RANKSCOPE_FUZZ ?? 300);
/** Limits: processor time for each file, and growth of memory over all files. */
const MAX_SECONDS = 1;
const MAX_MEGABYTES = 200;

/**
 * Declares the tests that every mutation of the small files in `seeds` (by name) results in a checkpoint whose tensors
 * can be read or in a RankscopeError, within the limits above. `mend` corrects checksums after a mutation, so that the
 * damage reaches the reader behind them; truncated files are then not tested. `read` opens another kind of file.
 */
export function fuzz(
  format: string,
  seeds: () => Readonly<Record<string, Uint8Array>>,
  mend?: (damaged: Uint8Array, name: string) => Uint8Array | Promise<Uint8Array>,
  read: (path: string) => Promise<void> = readCheckpoint,
): void {
  const survive = (path: string) => survives(path, read);
  describe(`${RUNS} damaged ${format} files`, () => {
    const folder = testFolder();

    it('each result in a checkpoint or a RankscopeError', async () => {
      const files = Object.entries(seeds());
      for (const [name, bytes] of files) await survive(folder.write(name, bytes));
      const before = process.resourceUsage().maxRSS;
      await fc.assert(
        fc.asyncProperty(
          fc.nat(files.length - 1),
          fc.array(MUTATION, { minLength: 1, maxLength: 4 }),
          async (at, mutations) => {
            const [name, bytes] = files[at]!;
            const damaged = mutations.reduce(mutate, bytes);
            await survive(folder.write(name, mend ? await mend(damaged, name) : damaged));
          },
        ),
        { numRuns: RUNS },
      );
      assert.ok(process.resourceUsage().maxRSS - before < MAX_MEGABYTES * 1024);
    }).timeout(60_000 + RUNS * 50);

    if (mend) return;
    it('result in a checkpoint or a RankscopeError wherever they are cut off', async () => {
      for (const [name, bytes] of Object.entries(seeds())) {
        const step = Math.max(1, Math.floor(bytes.length / RUNS));
        for (let length = 0; length < bytes.length; length += step)
          await survive(folder.write(name, bytes.subarray(0, length)));
      }
    }).timeout(60_000 + RUNS * 50);
  });
}

async function readCheckpoint(path: string): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  try {
    for (const tensor of checkpoint.tensors.slice(0, 50)) await readEnds(tensor);
  } finally {
    await checkpoint.close();
  }
}

async function survives(path: string, read: (path: string) => Promise<void>): Promise<void> {
  const start = process.cpuUsage();
  try {
    await read(path);
  } catch (error) {
    if (!(error instanceof RankscopeError)) throw error;
    assert.notEqual(error.found, '');
  }
  const { user, system } = process.cpuUsage(start);
  assert.ok((user + system) / 1e6 < MAX_SECONDS, `${(user + system) / 1e6} s`);
}

type Open = Awaited<ReturnType<typeof openCheckpoint>>;

/** Reads both ends of a tensor; either may fail with a RankscopeError. */
async function readEnds(tensor: Open['tensors'][number]): Promise<void> {
  const count = elementCount(tensor.shape);
  const out = new Float32Array(Math.min(count, 4));
  for (const start of [0, count - out.length])
    await tensor.read(start, out).catch((error: unknown) => {
      if (!(error instanceof RankscopeError)) throw error;
    });
}

interface Mutation {
  readonly kind: 'flip' | 'set' | 'number' | 'cut' | 'insert' | 'remove' | 'repeat';
  /** A position in the file from 0 (start) to 1 (end), or within a short stretch at one of its ends. */
  readonly place: number;
  readonly near: 'start' | 'end' | 'anywhere';
  readonly value: number;
  readonly length: number;
}

const MUTATION: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('flip', 'set', 'number', 'cut', 'insert', 'remove', 'repeat'),
  place: fc.double({ min: 0, max: 1, noNaN: true }),
  near: fc.constantFrom('start', 'end', 'anywhere'),
  value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
  length: fc.integer({ min: 1, max: 64 }),
});

function mutate(bytes: Uint8Array, { kind, place, near, value, length }: Mutation): Uint8Array {
  const span = near === 'anywhere' ? bytes.length : Math.min(bytes.length, 400);
  const from = Math.floor(place * span);
  const at = Math.min(bytes.length - 1, near === 'end' ? bytes.length - 1 - from : from);
  if (at < 0) return bytes;
  const copy = Buffer.from(bytes);
  switch (kind) {
    case 'flip':
      copy[at]! ^= 1 << (value & 7);
      return copy;
    case 'set':
      copy[at] = value;
      return copy;
    case 'number':
      // Sizes and counts are 2, 4 or 8 bytes: all ones, the sign bit alone, or something huge.
      copy.fill(value, at, Math.min(copy.length, at + (1 << (1 + (length % 3)))));
      return copy;
    case 'cut':
      return copy.subarray(0, at);
    case 'insert':
      return Buffer.concat([copy.subarray(0, at), Buffer.alloc(length, value), copy.subarray(at)]);
    case 'remove':
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + length)]);
    case 'repeat':
      return Buffer.concat([copy.subarray(0, at + length), copy.subarray(at)]);
  }
}
