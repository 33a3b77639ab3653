import type { MatrixFinding } from '../../model/findings.ts';
import type { RunState } from '../../protocol/page.ts';
import type { CheckpointView, MatrixView } from '../../protocol/service.ts';

/** What the tree needs to know of a session. */
export interface TreeSource {
  readonly path: string;
  readonly view: CheckpointView | null;
  readonly run: RunState;
  readonly ranks: Readonly<Record<string, number>>;
  finding(name: string): MatrixFinding | undefined;
}

/** One line of the tree, as plain data. */
export interface TreeNode {
  readonly kind: 'checkpoint' | 'layer' | 'module';
  /** Stable over refreshes, so that what is expanded stays expanded. */
  readonly id: string;
  readonly path: string;
  /** The tensor, on a module's line. */
  readonly name?: string;
  readonly label: string;
  readonly description: string;
  readonly tooltip: string;
  readonly children: readonly TreeNode[];
}

/** A checkpoint with its layers and their modules; only itself where its directory has not been read. */
export function checkpointNode(source: TreeSource): TreeNode {
  const { path, view } = source;
  const known = view?.matrices.filter(({ name }) => source.finding(name)).length ?? 0;
  return {
    kind: 'checkpoint',
    id: path,
    path,
    label: path.split(/[\\/]/).at(-1) ?? path,
    description: describe(source, known),
    tooltip: view ? `${path}\n${view.format}, ${view.family ?? 'unknown family'}, ${view.layers} layers` : path,
    children: view ? layersOf(source, view.matrices) : [],
  };
}

function describe({ view, run }: TreeSource, known: number): string {
  if (!view) return run.status === 'failed' ? 'cannot be read' : '';
  const size = `${compact(view.parameters)} parameters`;
  if (run.status === 'running' && run.total > 0) return `${size}, ${Math.floor((100 * run.done) / run.total)} %`;
  return known < view.matrices.length ? `${size}, ${known} of ${view.matrices.length} analyzed` : size;
}

function layersOf(source: TreeSource, matrices: readonly MatrixView[]): TreeNode[] {
  const byLayer = new Map<number | null, MatrixView[]>();
  for (const matrix of matrices) {
    const members = byLayer.get(matrix.layer);
    if (members) members.push(matrix);
    else byLayer.set(matrix.layer, [matrix]);
  }
  const order = [...byLayer.keys()].sort((a, b) => (a ?? -1) - (b ?? -1));
  return order.map((layer) => {
    const members = byLayer.get(layer) ?? [];
    return {
      kind: 'layer',
      id: `${source.path}#${layer ?? 'outside'}`,
      path: source.path,
      label: layer === null ? 'Outside the layers' : `Layer ${layer}`,
      description: layerDescription(source, members),
      tooltip: `${members.length} matrices`,
      children: members.map((matrix) => moduleNode(source, matrix)),
    };
  });
}

/** The share of its ranks that a layer uses, which can be compared between layers of any shape. */
function layerDescription(source: TreeSource, members: readonly MatrixView[]): string {
  const shares = members
    .map(({ name }) => source.finding(name))
    .filter((finding) => finding !== undefined)
    .map(({ effectiveRank, shape }) => effectiveRank / Math.min(...shape));
  if (shares.length === 0) return '';
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return `${Math.round(100 * mean)} % effective`;
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
      ? `${name}\n${size} ${dtype}\neffective rank ${rank}\n95 % of the energy: rank ${finding.energyRanks['0.95']}\nbreak-even: rank ${finding.breakEvenRank}`
      : `${name}\n${size} ${dtype}\nnot analyzed yet`,
    children: [],
  };
}

const approximately = ({ provenance }: MatrixFinding): string => (provenance === 'preview' ? '~' : '');

/** 260032 as `260K`. */
function compact(count: number): string {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 }).format(count);
}
