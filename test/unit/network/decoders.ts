import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

/** A small decoder with logits by transformers, as test/python/decoders.py prints it. */
export interface Case {
  readonly seed: number;
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Shapes by name. */
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  readonly ids: readonly number[];
  /** Positions whose logits are known. */
  readonly rows: readonly number[];
  readonly logits: readonly (readonly number[])[];
}

/** The values of a tensor, by the rule of test/python/decoders.py. */
export function valuesOf(seed: number, name: string, shape: readonly number[]): number[] {
  let start = seed;
  for (const byte of Buffer.from(name)) start = (Math.imul(start, 31) + byte) >>> 0;
  return Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => {
    let h = (Math.imul(i, 2654435761) + start) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 2246822507) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 3266489909) >>> 0;
    const uniform = ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1;
    if (shape.length > 1) return (uniform * 2.5) / Math.sqrt(shape[1]!);
    return 0.25 * uniform + (name.endsWith('.weight') ? 1 : 0);
  });
}

type Values = (name: string, shape: readonly number[]) => readonly number[];

/** Writes the model and its configuration into a folder, and returns the path of the model. */
export function writeDecoder(
  folder: string,
  { seed, config, tensors }: Omit<Case, 'ids' | 'rows' | 'logits'>,
  values: Values = (...tensor) => valuesOf(seed, ...tensor),
): string {
  const stored = Object.entries(tensors).map(
    ([name, shape]) => [name, { shape, values: values(name, shape) }] as const,
  );
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'model.safetensors'), f32File(Object.fromEntries(stored)));
  return join(folder, 'model.safetensors');
}

/** Writes the model into a folder of its own, which is removed afterwards, and opens it. */
export async function withDecoder<Result>(
  decoder: Case,
  use: (checkpoint: Checkpoint) => Promise<Result>,
  values?: Values,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-decoder-'));
  try {
    const checkpoint = await openCheckpoint(writeDecoder(folder, decoder, values));
    try {
      return await use(checkpoint);
    } finally {
      await checkpoint.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
