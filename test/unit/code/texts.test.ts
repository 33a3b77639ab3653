import assert from 'node:assert/strict';
import { depthPicture } from '../../../src/code/depthPicture.ts';
import { hoverText } from '../../../src/code/hoverText.ts';
import { importCandidates } from '../../../src/code/importPaths.ts';
import { moduleRanks, summarize } from '../../../src/code/rankSummary.ts';
import type { MatrixFinding } from '../../../src/model/findings.ts';
import type { MatrixView } from '../../../src/protocol/service.ts';
import { pageHtml } from '../../../src/window/pageHtml.ts';
import { codePathOf, suggestedPlanFile, suggestedTarget } from '../../../src/window/plan/planFiles.ts';
import { checkpointNode, childNodes } from '../../../src/window/treeModel.ts';
import { inProcess, SAMPLE } from '../window/inProcess.ts';

describe('texts about ranks', () => {
  let parts: ReturnType<typeof inProcess>;
  let matrices: readonly MatrixView[];
  let findings: MatrixFinding[];
  const finding = (name: string) => findings.find((one) => one.name === name);

  before(async () => {
    parts = inProcess();
    const session = parts.store.get(SAMPLE);
    await session.start();
    matrices = session.view?.matrices ?? [];
    findings = [...session.findings];
  });
  after(() => parts.close());

  it('group the layers of a module in order', () => {
    const queries = matrices.filter(({ name }) => name.includes('q_proj'));
    const [group, ...others] = moduleRanks(queries, finding);
    assert.equal(others.length, 0);
    assert.equal(group?.pattern, 'model.layers.*.self_attn.q_proj');
    assert.deepEqual(
      group.findings.map(({ name }) => name),
      queries.map(({ name }) => name),
    );
  });

  it('give the full name of a single matrix', () => {
    assert.equal(moduleRanks([matrices[1]!], finding)[0]?.pattern, matrices[1]?.name.replace(/\.weight$/, ''));
  });

  it('offer the analysis of a checkpoint without findings', () => {
    const text = hoverText(
      '/a/model.safetensors',
      moduleRanks(matrices, () => undefined),
    );
    assert.match(text, /command:rankscope\.analyze/);
    assert.doesNotMatch(text, /effective/);
  });

  it('say how many layers of a module are known during a run', () => {
    const queries = matrices.filter(({ name }) => name.includes('q_proj'));
    const first = queries[0]?.name;
    const text = hoverText(
      '/a/m',
      moduleRanks(queries, (name) => (name === first ? finding(name) : undefined)),
    );
    assert.match(text, /1 analyzed so far/);
  });

  it('add the ranks of W X where statistics of the activations are in use', () => {
    const queries = matrices.filter(({ name }) => name.includes('q_proj'));
    const seen = { effectiveRank: 7.25, energyRanks: { '0.9': 4, '0.95': 6, '0.99': 11, '0.999': 19 } };
    const withSeen = (name: string) => {
      const own = finding(name);
      return own && { ...own, activations: seen };
    };
    const rows = hoverText('/a/m', moduleRanks(queries, withSeen)).split('\n');
    assert.ok(rows.includes('| median of W X | 7.3 | 4 | 6 | 11 | 19 |  |'), rows.join('\n'));
    assert.doesNotMatch(hoverText('/a/m', moduleRanks(queries, finding)), /W X/);
  });

  it('contain no links or images made from names in a checkpoint', () => {
    const name = 'a`)[x](command:rankscope.applyPlan)![y](http://z)|\n.weight';
    const evil = { ...matrices[0]!, name };
    for (const known of [undefined, { ...findings[0]!, name }]) {
      const text = hoverText(
        '/tmp/[b](http://c).safetensors',
        moduleRanks([evil], () => known),
      );
      assert.doesNotMatch(
        text.replace(/`[^`\n]*`/g, ''),
        /(?<!\\)\]\((?!command:rankscope\.(analyze|reveal|setRank)\?[\w%.*!'~-]*\))/,
      );
    }
  });

  it('include a picture over depth for two layers and more', () => {
    assert.equal(depthPicture(findings.slice(0, 1)), undefined);
    const svg = Buffer.from(depthPicture(findings)?.split(',')[1] ?? '', 'base64').toString();
    const points = /points="([^"]+)" fill="none" stroke="#2b8ae2"/.exec(svg)?.[1]?.split(' ') ?? [];
    assert.equal(points.length, findings.length);
    for (const point of points) assert.match(point, /^\d+\.\d,\d+\.\d$/);
  });

  it('take the median of an even number of values as the mean of the middle two', () => {
    assert.deepEqual(summarize([3, 1, 2, 10]), { median: 2.5, low: 1, high: 10 });
    assert.deepEqual(summarize([7]), { median: 7, low: 7, high: 7 });
    assert.equal(summarize([]), undefined);
  });

  it('form a tree of all matrices by layer', async () => {
    const session = parts.store.get(SAMPLE);
    const layers = await childNodes(session, checkpointNode(session));
    assert.deepEqual(
      layers.map(({ label }) => label),
      ['Outside the layers', ...Array.from({ length: session.view?.layers ?? 0 }, (_, layer) => `Layer ${layer}`)],
    );
    const leaves = (await Promise.all(layers.map((layer) => childNodes(session, layer)))).flat();
    assert.equal(new Set(leaves.map(({ id }) => id)).size, matrices.length);
  });
});

describe('suggested file names', () => {
  it('are beside the checkpoint, and never the checkpoint itself', () => {
    assert.equal(suggestedTarget('/m/model.safetensors'), '/m/model.lowrank.safetensors');
    assert.equal(suggestedTarget('/m/model.safetensors.index.json'), '/m/model.lowrank.safetensors');
    assert.equal(suggestedPlanFile('/m/model.safetensors'), '/m/model.rankplan.json');
  });

  it('of Python code are valid module names', () => {
    assert.equal(codePathOf('/m/model.lowrank.safetensors'), '/m/model_lowrank.py');
    assert.equal(codePathOf('/m/7B-small.safetensors'), '/m/_7B_small.py');
  });

  it('of imports follow leading dots, and otherwise start at the roots', () => {
    assert.deepEqual(importCandidates('.attention', '/w/m', ['/w']), [
      '/w/m/attention.py',
      '/w/m/attention/__init__.py',
    ]);
    assert.deepEqual(importCandidates('..a.b', '/w/m/n', ['/w']), ['/w/m/a/b.py', '/w/m/a/b/__init__.py']);
    assert.deepEqual(importCandidates('.', '/w/m', []), ['/w/m/__init__.py']);
    assert.ok(importCandidates('pkg.x', '/w/m', ['/w']).includes('/w/pkg/x.py'));
  });
});

describe('the frame of a page', () => {
  const html = () =>
    pageHtml({ title: '<img src=x>', source: 'https://own', script: 'https://own/a.js', style: 'https://own/a.css' });

  it('runs nothing without the nonce of this load', () => {
    const [one, other] = [html(), html()];
    const nonce = /script-src 'nonce-([^']+)'/.exec(one)?.[1];
    assert.ok(nonce && nonce.length >= 22);
    assert.ok(!other.includes(nonce));
    assert.match(one, /default-src 'none'/);
    assert.doesNotMatch(one, /unsafe/);
    for (const tag of one.match(/<script[^>]*>/g) ?? []) assert.ok(tag.includes(nonce));
    assert.ok(!one.includes('<img'));
  });
});
