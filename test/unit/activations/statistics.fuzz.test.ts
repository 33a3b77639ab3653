import { openStatistics } from '../../../src/activations/openStatistics.ts';
import { RankscopeError } from '../../../src/base/errors.ts';
import { fuzz } from '../formats/fuzz.ts';
import { imatrixDatFile, imatrixGgufFile, statisticsFile } from './statisticsBytes.ts';

const ENTRIES = [
  { name: 'blk.0.attn_q.weight', sums: [[4, 9, 16]], counts: [512] },
  { name: 'blk.0.ffn_up.weight', sums: [[1, 2, 3]], counts: [512] },
];

fuzz(
  'statistics',
  () => ({
    'x.activations.safetensors': statisticsFile([
      { name: 'a', matrices: { 'a.weight': [3, 2], 'b.weight': [5, 2] }, r: [3, 1, 0, 2], tokens: 7 },
      { name: 'c', matrices: { 'c.weight': [3, 1] }, r: [3], tokens: 0 },
    ]),
    'imatrix.gguf': imatrixGgufFile(ENTRIES),
    'imatrix.dat': imatrixDatFile(ENTRIES),
  }),
  undefined,
  async (path) => {
    const statistics = await openStatistics(path);
    try {
      for (const entry of statistics.entries)
        await entry.read(0, new Float32Array(Math.min(entry.length, 9))).catch((error: unknown) => {
          if (!(error instanceof RankscopeError)) throw error;
        });
    } finally {
      await statistics.close();
    }
  },
);
