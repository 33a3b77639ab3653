import assert from 'node:assert/strict';
import { groupKey } from '../../../../src/model/experts.ts';
import type { MatrixFinding } from '../../../../src/model/findings.ts';
import type { AnalysisProgress } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';
import { DEEPSEEK_V3, expertModel, manySmall, TINY_EXPERTS } from '../../../fixtures/giants/models.ts';
import { writeSparseShards } from '../../../fixtures/giants/sparseShards.ts';
import { testFolder } from '../../formats/folder.ts';

const THREADS = 2;

describe('the order of an analysis', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  it('previews a sample of the experts of every layer, then all others, before any exact value', async () => {
    writeSparseShards(folder.path('moe'), expertModel(TINY_EXPERTS), 3);
    const steps: AnalysisProgress[] = [];
    await service.analyze(
      { path: folder.path('moe'), mode: 'both', threads: THREADS },
      { progress: (step) => void steps.push(step) },
    );
    const findings = steps.flatMap(({ finding }) => finding ?? []);
    const [previews, exact] = (['preview', 'exact'] as const).map((kind) =>
      findings.filter(({ provenance }) => provenance === kind),
    ) as [MatrixFinding[], MatrixFinding[]];
    assert.equal(previews.length, exact.length);
    assert.equal(
      findings.findIndex(({ provenance }) => provenance === 'exact'),
      previews.length,
    );

    const groups = groupsOf(previews);
    assert.equal(groupsOf(previews.slice(0, groups.size)).size, groups.size);
    // Four layers of three modules with experts, of which three more each are sampled.
    const sampled = previews.slice(groups.size, groups.size + 3 * 4 * 3);
    assert.deepEqual(new Set([...groupsOf(sampled).values()].map((names) => names.length)), new Set([3]));
    assert.deepEqual(groupsOf(exact.slice(0, groups.size)).size, groups.size);

    const shares = steps.filter(({ total }) => total > 0).map(({ done, total }) => done / total);
    assert.deepEqual(
      shares,
      [...shares].sort((a, b) => a - b),
    );
    assert.equal(shares.at(-1), 1);
  });

  it('computes what is on the screen first, in both sweeps', async () => {
    writeSparseShards(folder.path('many'), manySmall(40), 1);
    const path = folder.path('many');
    const wanted = ['blocks.0.part_30.weight', 'blocks.0.part_31.weight'];
    const found: string[] = [];
    await service.analyze(
      { path, mode: 'both', threads: THREADS },
      {
        progress({ finding }) {
          if (!finding) return;
          found.push(`${finding.provenance} ${finding.name}`);
          if (found.length === 1) void service.prioritize({ path, names: wanted });
        },
      },
    );
    for (const [provenance, first] of [
      ['preview', 0],
      ['exact', 40],
    ] as const)
      for (const name of wanted) {
        // The one after the first was being read already.
        const place = found.indexOf(`${provenance} ${name}`) - first;
        assert.ok(place >= 0 && place < 5, `${provenance} of ${name} came ${place}th`);
      }
  });

  it('finds what is tied while it computes, counts it once and names it', async () => {
    const values = Buffer.from(Float32Array.from({ length: 48 * 32 }, (_, k) => Math.sin(k * k)).buffer);
    // Too large for a search on opening, because of a vector that is a hole.
    const tensors = [...expertModel(TINY_EXPERTS, 'F32'), { name: 'pad', shape: [20_000_000], dtype: 'F32' } as const];
    writeSparseShards(folder.path('tied'), tensors, 2, (name) =>
      /embed_tokens|lm_head/.test(name) ? values : undefined,
    );
    const path = folder.path('tied');
    assert.deepEqual((await service.open({ path })).ties, []);
    const skipped: string[] = [];
    const steps: AnalysisProgress[] = [];
    const analysis = await service.analyze(
      { path, threads: THREADS },
      {
        progress(step) {
          steps.push(step);
          if (step.skipped) skipped.push(step.skipped.name);
        },
      },
    );
    assert.deepEqual(analysis.ties, [['model.embed_tokens.weight', 'lm_head.weight']]);
    assert.deepEqual(skipped, ['lm_head.weight']);
    assert.ok(analysis.matrices.some(({ name }) => name === 'model.embed_tokens.weight'));
    assert.ok(!analysis.matrices.some(({ name }) => name === 'lm_head.weight'));
    assert.equal(steps.at(-1)?.done, steps.at(-1)?.total);
  });

  it('shows the first values of 163 shards before their contents are compared, and can be stopped', async () => {
    writeSparseShards(folder.path('giant'), expertModel({ ...DEEPSEEK_V3, experts: 48 }), 163);
    const path = folder.path('giant');
    const abort = new AbortController();
    let reported: AnalysisProgress | undefined;
    let stopped = 0;
    const run = service.analyze(
      { path, mode: 'both', listed: false, threads: THREADS },
      {
        signal: abort.signal,
        progress(step) {
          if (!step.finding || reported) return;
          reported = step;
          stopped = performance.now();
          abort.abort();
        },
      },
    );
    await assert.rejects(run, { code: 'cancelled' });
    const seconds = (performance.now() - stopped) / 1000;
    assert.equal(reported?.finding?.provenance, 'preview');
    assert.equal(reported.total, 2 * (45_092 - 58 * 208 * 3));
    assert.equal(reported.done, 1);
    assert.ok(seconds < 5, `it went on for ${seconds} s`);
  });
});

function groupsOf(findings: readonly MatrixFinding[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const finding of findings) {
    const key = groupKey(finding);
    groups.set(key, [...(groups.get(key) ?? []), finding.name]);
  }
  return groups;
}
