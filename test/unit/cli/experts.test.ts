import assert from 'node:assert/strict';
import type { Analysis } from '../../../src/model/findings.ts';
import { expertModel, TINY_EXPERTS } from '../../fixtures/giants/models.ts';
import { writeSparseShards } from '../../fixtures/giants/sparseShards.ts';
import { testFolder } from '../formats/folder.ts';
import { run } from './run.ts';

describe('rankscope analyze on a mixture of experts', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const tensors = expertModel({ ...TINY_EXPERTS, layers: 2, experts: 4 }, 'F32');
  /** Other values for each tensor, so that their ranks differ. */
  const valuesOf = (name: string) => {
    const at = tensors.findIndex((tensor) => tensor.name === name);
    const count = tensors[at]!.shape.reduce((product, size) => product * size, 1);
    return Buffer.from(Float32Array.from({ length: count }, (_, k) => Math.sin((k + 1) * (k + at) * 0.37)).buffer);
  };
  const analyze = async (...words: string[]) => {
    const { code, stdout, stderr } = await run(folder.path('home'), 'analyze', folder.path('moe'), ...words);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  it('has a line of medians for the experts of each layer, a summary, and all of them in the JSON', async () => {
    writeSparseShards(folder.path('moe'), tensors, 2, valuesOf);
    const lines = (await analyze()).split('\n');
    const { matrices } = JSON.parse(await analyze('--json')) as Analysis;
    const experts = matrices.filter(({ name }) => /experts\.\d+\.up_proj/.test(name));
    assert.deepEqual(
      experts.map(({ expert }) => expert),
      [0, 1, 2, 3],
    );
    const ranks = experts.map(({ effectiveRank }) => effectiveRank).sort((a, b) => a - b);
    const median = ((ranks[1]! + ranks[2]!) / 2).toPrecision(4);
    const [line] = lines.filter((text) => text.includes('experts.*.up_proj'));
    assert.match(line!, new RegExp(`4x 16x32 +${median.replace('.', '\\.')} `));
    const [summary] = lines.filter((text) => text.startsWith('mlp.experts.up_proj'));
    assert.deepEqual(summary!.split(/ {2,}/).slice(1, 3), ['4', median]);
    assert.deepEqual(
      summary!.split(/ {2,}/).slice(4),
      [ranks[0], ranks[3]].map((rank) => rank!.toPrecision(4)),
    );
    assert.ok(!lines.some((text) => /experts\.\d/.test(text)));
  });

  it('lists every expert on request', async () => {
    writeSparseShards(folder.path('moe'), tensors, 2, valuesOf);
    const lines = (await analyze('--experts')).split('\n');
    assert.equal(lines.filter((text) => /experts\.\d\./.test(text)).length, 12);
    assert.ok(!lines.some((text) => text.includes('*')));
  });
});
