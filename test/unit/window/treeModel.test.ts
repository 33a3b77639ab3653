import assert from 'node:assert/strict';
import { IDLE } from '../../../src/protocol/page.ts';
import type { CheckpointView } from '../../../src/protocol/service.ts';
import { checkpointNode, childNodes, type TreeNode, type TreeSource } from '../../../src/window/treeModel.ts';
import { expertSnapshot } from '../../ui/pages/samples.ts';

function sourceOf({ checkpoint, findings }: ReturnType<typeof expertSnapshot>): TreeSource {
  const known = new Map(findings.map((finding) => [finding.name, finding]));
  const view = checkpoint as CheckpointView;
  return { path: view.path, view, run: IDLE, ranks: {}, found: known.size, finding: (name) => known.get(name) };
}

describe('the tree of checkpoints', () => {
  it('shows the experts of a module as one line with their median, which opens into them', async () => {
    const source = sourceOf(expertSnapshot(4, 32));
    const layers = await childNodes(source, checkpointNode(source));
    const modules = await childNodes(source, layers[3]!);
    assert.deepEqual(
      modules.map(({ kind, label }) => `${kind} ${label}`),
      [
        ...['q', 'k', 'v', 'o'].map((part) => `module self_attn.${part}_proj`),
        'module mlp.gate',
        ...['gate', 'up', 'down'].map((part) => `experts mlp.experts.${part}_proj`),
        ...['gate', 'up', 'down'].map((part) => `module mlp.shared_experts.${part}_proj`),
      ],
    );
    assert.match(modules[5]!.description, /^32 experts, median [0-9]+ %$/);
    assert.equal(modules[5]!.name, 'model.layers.3.mlp.experts.*.gate_proj.weight');
    const experts = await childNodes(source, modules[5]!);
    assert.deepEqual(
      experts.map(({ label }) => label),
      Array.from({ length: 32 }, (_, expert) => `Expert ${expert}`),
    );
    assert.equal(experts[31]!.name, 'model.layers.3.mlp.experts.31.gate_proj.weight');
  });

  it('says how many of the experts are known', async () => {
    const snapshot = expertSnapshot(3, 8);
    const findings = snapshot.findings.filter(({ expert }) => expert === undefined || expert === 2);
    const source = sourceOf({ ...snapshot, findings });
    const layers = await childNodes(source, checkpointNode(source));
    const [experts] = (await childNodes(source, layers[2]!)).filter(({ kind }) => kind === 'experts');
    assert.match(experts!.description, /^8 experts, median [0-9]+ %, 1 of 8 analyzed$/);
  });

  it('opens 100,000 matrices in ranges of at most 500 lines, and loses none', async () => {
    const matrices = Array.from({ length: 100_000 }, (_, index) => ({
      ...{ name: `tensor_${index}`, layer: null, module: `tensor_${index}` },
      ...{ shape: [96, 64] as const, dtype: 'F32' },
    }));
    const { checkpoint } = expertSnapshot(1, 1);
    const source = { ...sourceOf(expertSnapshot(1, 1)), view: { ...checkpoint!, matrices } };
    const names: string[] = [];
    let longest = 0;
    const visit = async (node: TreeNode) => {
      const children = await childNodes(source, node);
      longest = Math.max(longest, children.length);
      // One range in forty, as each is cut out of the whole layer.
      for (const [index, child] of children.entries()) {
        if (child.kind === 'module') names.push(child.name!);
        else if (child.kind !== 'range' || index % 40 === 0) await visit(child);
      }
    };
    await visit(checkpointNode(source));
    assert.equal(longest, 500);
    assert.equal(new Set(names).size, 5 * 500);
  });
});
