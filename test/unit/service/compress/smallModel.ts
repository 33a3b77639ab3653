import { readFileSync } from 'node:fs';
import type { CompressRequest } from '../../../../src/model/compression.ts';
import type { testFolder } from '../../formats/folder.ts';
import { type Case, writeDecoder } from '../../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];

/** The small decoder of a kind: two blocks of width 32, 40 tokens, and a context of 64. */
export const caseOf = (kind: string): Case => CASES.find((known) => known.kind === kind)!;

/** Ids without a pattern, each below 40. */
export function idsOf(count: number, seed = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % 40;
  });
}

/** A request to compress the small model on 1,024 of its 2,000 ids. */
export function smallRequest(
  folder: ReturnType<typeof testFolder>,
  kind = 'llama',
  ids = idsOf(2000),
): CompressRequest {
  return {
    path: writeDecoder(folder.path('model'), caseOf(kind)),
    ids: folder.write('ids.json', JSON.stringify(ids)),
    keep: 0.7,
    context: 32,
    tokens: 1024,
    steps: 8,
    threads: 1,
    engine: 'wasm',
    out: folder.path('small.safetensors'),
  };
}
