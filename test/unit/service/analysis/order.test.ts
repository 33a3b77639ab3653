import assert from 'node:assert/strict';
import { groupKey } from '../../../../src/model/experts.ts';
import type { MatrixFinding } from '../../../../src/model/findings.ts';
import type { AnalysisProgress } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';
import { DEEPSEEK_V3, expertModel, TINY_EXPERTS } from '../../../fixtures/giants/models.ts';
import { writeSparseShards } from '../../../fixtures/giants/sparseShards.ts';
import { testFolder } from '../../formats/folder.ts';

/** Several would compute small matrices side by side, which end in any order. */
const THREADS = 1;
/** Wide enough for estimates: 3 layers, two of them with 6 experts. */
const WIDE_EXPERTS = { ...TINY_EXPERTS, layers: 3, experts: 6, hidden: 768, inner: 800, expertInner: 770 };

describe('the order of an analysis', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  async function analysisOf(path: string, onFinding: (finding: MatrixFinding) => void = () => undefined) {
    const steps: AnalysisProgress[] = [];
    const progress = (step: AnalysisProgress) => {
      steps.push(step);
      if (step.finding) onFinding(step.finding);
    };
    await service.analyze({ path, mode: 'both', threads: THREADS, cache: false }, { progress });
    return {
      findings: steps.flatMap(({ finding }) => finding ?? []),
      shares: steps.filter(({ total }) => total > 0).map(({ done, total }) => done / total),
    };
  }

  it('computes a sample of the experts of every layer, then all others, small ones exactly at once', async () => {
    writeSparseShards(folder.path('moe'), expertModel(TINY_EXPERTS), 3);
    const { findings, shares } = await analysisOf(folder.path('moe'));
    assert.ok(findings.every(({ provenance }) => provenance === 'exact'));
    assert.equal(new Set(findings.map(({ name }) => name)).size, findings.length);

    const groups = groupsOf(findings);
    assert.equal(groupsOf(findings.slice(0, groups.size)).size, groups.size);
    // Four layers of three modules with experts, of which three more each are sampled.
    const sampled = findings.slice(groups.size, groups.size + 3 * 4 * 3);
    assert.deepEqual(new Set([...groupsOf(sampled).values()].map((names) => names.length)), new Set([3]));
    assertAscendsToOne(shares);
  });

  it('has a coarse value in every cell, then of every sampled expert, before the first preview or exact value', async () => {
    writeSparseShards(folder.path('wide'), expertModel(WIDE_EXPERTS), 2);
    const { findings, shares } = await analysisOf(folder.path('wide'));
    const large = findings.filter(({ shape }) => Math.min(...shape) >= 768);
    const cells = groupsOf(large).size;
    assert.equal(groupsOf(large.slice(0, cells)).size, cells);

    // Two layers of three modules with experts, of which three more each are sampled.
    const coarse = cells + 2 * 3 * 3;
    const matrices = new Set(large.map(({ name }) => name)).size;
    assert.equal(new Set(large.slice(0, coarse).map(({ name }) => name)).size, coarse);
    const [estimates, exact] = [large.slice(0, coarse + matrices), large.slice(coarse + matrices)];
    assert.ok(estimates.every(({ provenance }) => provenance === 'preview'));
    assert.ok(exact.every(({ provenance }) => provenance === 'exact'));
    for (const sweep of [estimates.slice(coarse), exact]) {
      assert.equal(sweep.length, matrices);
      assert.equal(new Set(sweep.map(({ name }) => name)).size, matrices);
    }
    assertAscendsToOne(shares);
  });

  it('gives an expert beyond the sample a coarse value if someone looks at it', async () => {
    const path = folder.path('wide');
    writeSparseShards(path, expertModel(WIDE_EXPERTS), 2);
    const beyond = 'model.layers.1.mlp.experts.5.up_proj.weight';
    const names: string[] = [];
    const { shares } = await analysisOf(path, ({ name }) => {
      names.push(name);
      if (names.length === 1) void service.prioritize({ path, names: [beyond] });
    });
    assert.equal(names.filter((name) => name === beyond).length, 3);
    assert.ok(names.indexOf(beyond) < 5, `it came ${names.indexOf(beyond)}th`);
    assertAscendsToOne(shares);
  });

  it('computes what is on the screen first, in every sweep', async () => {
    const path = folder.path('wide');
    writeSparseShards(path, expertModel(WIDE_EXPERTS), 2);
    const wanted = 'model.layers.2.mlp.shared_experts.up_proj.weight';
    const found: string[] = [];
    const { findings } = await analysisOf(path, ({ name }) => {
      found.push(name);
      if (found.length === 1) void service.prioritize({ path, names: [wanted] });
    });
    const places = found.flatMap((name, index) => (name === wanted ? [index] : []));
    const firstExact = findings.findIndex(
      ({ provenance, shape }) => provenance === 'exact' && Math.min(...shape) >= 768,
    );
    assert.equal(places.length, 3);
    // The one after the first was being read already.
    assert.ok(places[0]! < 5, `its coarse value came ${places[0]}th`);
    assert.ok(places[2]! - firstExact < 5, `its exact value came ${places[2]! - firstExact}th`);
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
    // Experts beyond the sample have no coarse value; two parts of attention and the gates are exact at once.
    const [all, beyond, small] = [45_092 - 58 * 208 * 3, 58 * 44 * 3, 2 * 61 + 58];
    assert.equal(reported.total, 3 * (all - beyond - small) + 2 * beyond + small);
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

function assertAscendsToOne(shares: readonly number[]): void {
  assert.deepEqual(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.equal(shares.at(-1), 1);
}
