import { yieldEvery } from '../base/eventLoop.ts';
import { baseName } from '../base/paths.ts';
import { formatCount } from '../base/quantities.ts';
import { expertPattern, groupKey, sharedModule } from '../model/experts.ts';
import type { MatrixFinding } from '../model/findings.ts';
import { compareStacks } from '../model/names/stackLabels.ts';
import { layerCount, layerText } from '../model/place.ts';
import type { RunState } from '../protocol/page.ts';
import type { CheckpointView, MatrixView } from '../protocol/service.ts';

/** What the tree needs of a session. */
export interface TreeSource {
  readonly path: string;
  readonly view: CheckpointView | null;
  readonly run: RunState;
  readonly ranks: Readonly<Record<string, number>>;
  /** Number of matrices with a finding. */
  readonly found: number;
  finding(name: string): MatrixFinding | undefined;
}

/** One line of the tree. */
export interface TreeNode {
  readonly kind: 'checkpoint' | 'layer' | 'range' | 'experts' | 'module';
  /** Stable across refreshes, so that expanded lines stay expanded. */
  readonly id: string;
  readonly path: string;
  /** Of a layer's line: the key of its layer among those of the checkpoint. */
  readonly layer?: string;
  /** Of a range: its first part of the layer. */
  readonly from?: number;
  /** The tensor, of a module's line; the pattern of the experts of one module. */
  readonly name?: string;
  readonly label: string;
  readonly description: string;
  readonly tooltip: string;
}

/** The line of a checkpoint. */
export function checkpointNode(source: TreeSource): TreeNode {
  const { path, view } = source;
  return {
    kind: 'checkpoint',
    id: path,
    path,
    label: baseName(path),
    description: describe(source),
    tooltip: view ? `${path}\n${view.format}, ${view.family ?? 'unknown family'}, ${layerCount(view, true)}` : path,
  };
}

/** How long a tree of thousands of layers may hold the extension host at a time. */
const SLICE_MS = 4;

/**
 * The lines below a line: the layers of a checkpoint or the modules of a layer. Empty if the directory could not be
 * read.
 */
export async function childNodes(source: TreeSource, node: TreeNode): Promise<TreeNode[]> {
  if (!source.view || node.kind === 'module') return [];
  const layers = layersOf(source.view);
  if (node.kind !== 'checkpoint')
    return nodesBelow(source, node, partsOf(layers.get(node.layer ?? OUTSIDE)?.members ?? []));
  const pause = yieldEvery(SLICE_MS);
  const nodes: TreeNode[] = [];
  for (const layer of layers.values()) {
    nodes.push(layerNode(source, layer));
    await pause();
  }
  return nodes;
}

/** Lines below one line at most: the editor creates an item for each of them at every refresh. */
const LINES = 500;

/** The lines below a layer, a range of its parts, or the experts of one module. */
function nodesBelow(source: TreeSource, node: TreeNode, parts: readonly (readonly MatrixView[])[]): TreeNode[] {
  if (node.kind === 'experts') {
    const experts = parts.find((part) => part.length > 1 && patternOf(part[0]!) === node.name) ?? [];
    return experts.map((matrix) => ({ ...moduleNode(source, matrix), label: `Expert ${matrix.expert}` }));
  }
  if (node.kind === 'layer' && parts.length > LINES) {
    const starts = Array.from({ length: Math.ceil(parts.length / LINES) }, (_, index) => index * LINES);
    return starts.map((from) => rangeNode(node, from, parts.slice(from, from + LINES)));
  }
  const shown = node.kind === 'range' ? parts.slice(node.from, (node.from ?? 0) + LINES) : parts;
  return shown.map((part) => (part.length > 1 ? expertsNode(source, node, part) : moduleNode(source, part[0]!)));
}

function rangeNode(layer: TreeNode, from: number, parts: readonly (readonly MatrixView[])[]): TreeNode {
  const label = `${sharedModule(parts[0]![0]!)} … ${sharedModule(parts.at(-1)![0]!)}`;
  const { id, path, layer: key } = layer;
  const own = { id: `${id}#${from}`, path, label, description: `${parts.length} lines`, tooltip: label };
  return { kind: 'range', from, ...own, ...(key === undefined ? {} : { layer: key }) };
}

function describe({ view, run, found }: TreeSource): string {
  if (!view) return run.status === 'failed' ? 'cannot be read' : '';
  const size = `${formatCount(view.parameters)} parameters`;
  if (run.status === 'running' && run.total > 0) return `${size}, ${Math.floor((100 * run.done) / run.total)} %`;
  return found < view.matrices.length ? `${size}, ${found} of ${view.matrices.length} analyzed` : size;
}

interface Layer {
  readonly key: string;
  readonly stack: string | undefined;
  readonly layer: number | null;
  readonly members: MatrixView[];
}

/** The key of the matrices outside the layers. */
const OUTSIDE = 'outside';

const layersByView = new WeakMap<CheckpointView, ReadonlyMap<string, Layer>>();

/** The matrices of a checkpoint by stack and layer, in their order; those outside the layers come first. */
function layersOf(view: CheckpointView): ReadonlyMap<string, Layer> {
  let layers = layersByView.get(view);
  if (!layers) {
    const found = new Map<string, Layer>();
    for (const matrix of view.matrices) {
      const { stack, layer } = matrix;
      const key = layer === null ? OUTSIDE : [stack, layer].filter((part) => part !== undefined).join('.');
      const known = found.get(key);
      if (known) known.members.push(matrix);
      else found.set(key, { key, stack, layer, members: [matrix] });
    }
    layers = new Map([...found].sort(([, a], [, b]) => compareLayers(a, b)));
    layersByView.set(view, layers);
  }
  return layers;
}

/** The matrices of a layer, the experts of one module together at the place of the first. */
function partsOf(members: readonly MatrixView[]): MatrixView[][] {
  const parts = new Map<string, MatrixView[]>();
  for (const matrix of members) {
    const key = matrix.expert === undefined ? matrix.name : groupKey(matrix);
    const known = parts.get(key);
    if (known) known.push(matrix);
    else parts.set(key, [matrix]);
  }
  return [...parts.values()].map((part) => part.sort((a, b) => (a.expert ?? 0) - (b.expert ?? 0)));
}

/** The name of a group of experts, as on the page. */
const patternOf = ({ name, expert }: MatrixView): string => expertPattern(name, expert ?? 0);

function expertsNode(source: TreeSource, { layer }: TreeNode, experts: readonly MatrixView[]): TreeNode {
  const first = experts[0]!;
  const name = patternOf(first);
  const shares = sharesOf(source, experts).sort((a, b) => a - b);
  const median = shares[Math.floor(shares.length / 2)];
  const known = shares.length < experts.length ? `, ${shares.length} of ${experts.length} analyzed` : '';
  return {
    kind: 'experts',
    id: `${source.path}#${name}`,
    path: source.path,
    ...(layer === undefined ? {} : { layer }),
    name,
    label: sharedModule(first),
    description:
      median === undefined
        ? `${experts.length} experts`
        : `${experts.length} experts, median ${Math.round(100 * median)} %${known}`,
    tooltip: `${name}\n${experts.length} experts of ${first.shape.join(' x ')} ${first.dtype}`,
  };
}

function compareLayers(a: Layer, b: Layer): number {
  if (a.layer === null || b.layer === null) return Number(a.layer !== null) - Number(b.layer !== null);
  return compareStacks(a.stack ?? '', b.stack ?? '') || a.layer - b.layer;
}

function layerNode(source: TreeSource, { key, stack, layer, members }: Layer): TreeNode {
  return {
    kind: 'layer',
    id: `${source.path}#${key}`,
    path: source.path,
    layer: key,
    label: layer === null ? 'Outside the layers' : layerText({ stack, layer }),
    description: layerDescription(source, members),
    tooltip: `${members.length} matrices`,
  };
}

/** Effective rank as a share of the full rank, averaged over the layer: comparable between layers of any shape. */
function layerDescription(source: TreeSource, members: readonly MatrixView[]): string {
  const shares = sharesOf(source, members);
  if (shares.length === 0) return '';
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return `effective rank ${Math.round(100 * mean)} %`;
}

function sharesOf(source: TreeSource, members: readonly MatrixView[]): number[] {
  return members
    .map(({ name }) => source.finding(name))
    .filter((finding) => finding !== undefined)
    .map(({ effectiveRank, shape }) => effectiveRank / Math.min(...shape));
}

function moduleNode(source: TreeSource, { name, module, shape, dtype }: MatrixView): TreeNode {
  const finding = source.finding(name);
  const picked = source.ranks[name];
  const size = shape.join(' x ');
  const rank = finding ? `${approximately(finding)}${finding.effectiveRank.toFixed(1)} of ${Math.min(...shape)}` : size;
  return {
    kind: 'module',
    id: `${source.path}#${name}`,
    path: source.path,
    name,
    label: module,
    description: picked === undefined ? rank : `${rank}, set to ${picked}`,
    tooltip: finding
      ? `${name}\n${size} ${dtype}\neffective rank ${rank}\nrank for 95 % of the energy: ${finding.energyRanks['0.95']}\nbreak-even rank: ${finding.breakEvenRank}`
      : `${name}\n${size} ${dtype}\nnot analyzed yet`,
  };
}

const approximately = ({ provenance }: MatrixFinding): string => (provenance === 'preview' ? '~' : '');
