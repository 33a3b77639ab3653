import { namesOf, placesOf } from './checkpointNames.ts';
import type { FindingInCode, ViewInCode } from './codeCalls.ts';
import { type CodeModel, enclosingClass } from './codeModel.ts';
import { jsonTarget, yamlTarget } from './configTarget.ts';
import type { ModuleClass, Span } from './moduleCode.ts';
import type { ClassPlace } from './placeClasses.ts';
import { type CodeText, type Program, programOf } from './program.ts';
import { pythonTarget, type Target } from './pythonTarget.ts';
import { type ModuleRanks, moduleRanks } from './rankSummary.ts';
import { type CheckpointNames, type CodeAround, matricesUnder, resolveTarget } from './resolveTarget.ts';
import { type TrieNode, walk } from './tensorTrie.ts';

/** A checkpoint that code is matched with. */
export interface CheckpointInCode {
  readonly path: string;
  readonly view: ViewInCode;
  finding(name: string): FindingInCode | undefined;
}

/** What one checkpoint says about a position in code. */
export interface Insight {
  readonly checkpoint: CheckpointInCode;
  readonly span: Span;
  readonly groups: readonly ModuleRanks[];
}

/** Checkpoints in one hover at most: with three, it becomes a page. */
const CHECKPOINTS = 2;

/** The ranks of the layers named at a position of a text, by checkpoint; empty unless the layers are certain. */
export function insightsAt(
  model: CodeModel,
  text: CodeText,
  at: { readonly row: number; readonly column: number; readonly offset: number },
  checkpoints: readonly CheckpointInCode[],
  others: readonly CodeText[] = [],
): Insight[] {
  const code = text.language === 'python' ? programOf(model, text) : undefined;
  const target = code ? pythonTarget(code.parsed.tree, at.row, at.column) : configTarget(text, at.offset);
  if (!target) return [];
  const found = checkpoints.flatMap((checkpoint) => {
    const groups = groupsOf(checkpoint, (names) => {
      return resolveTarget(target, names, code && around(model, code, names, target, at.row, others));
    });
    return groups.length > 0 ? [{ checkpoint, span: target.span, groups }] : [];
  });
  const analyzed = found.filter(({ groups }) => groups.some(({ findings }) => findings.length > 0));
  return (analyzed.length > 0 ? analyzed : found.slice(0, 1)).slice(0, CHECKPOINTS);
}

/** A class that is found in an analyzed checkpoint. */
export interface ClassInsight {
  readonly of: ModuleClass;
  readonly checkpoint: CheckpointInCode;
  /** How often the class occurs in the checkpoint. */
  readonly places: number;
  readonly groups: readonly ModuleRanks[];
  /** The fields that create a single module, with its ranks. */
  readonly fields: readonly { readonly span: Span; readonly group: ModuleRanks }[];
}

/** The classes of a text that are found in a checkpoint, each in the first checkpoint that contains it. */
export function classInsights(
  model: CodeModel,
  text: CodeText,
  checkpoints: readonly CheckpointInCode[],
  others: readonly CodeText[] = [],
): ClassInsight[] {
  const code = programOf(model, text);
  return code.parsed.classes.flatMap((of) => {
    for (const checkpoint of checkpoints) {
      const names = namesOf(checkpoint.view);
      const place = placeOf(model, of, placesOf(code.universe, names).get(of), names, others);
      if (!place) continue;
      const { nodes } = place;
      const groups = groupsOf(checkpoint, () => [...nodes]);
      if (!groups.some(({ findings }) => findings.length > 0)) continue;
      const fields = of.fields.flatMap(({ name, span }) => {
        const own = groupsOf(checkpoint, () => [...nodes].flatMap((node) => walk(node, [name])));
        return own.length === 1 && own[0]!.findings.length > 0 ? [{ span, group: own[0]! }] : [];
      });
      return [{ of, checkpoint, places: nodes.size, groups, fields }];
    }
    return [];
  });
}

/**
 * Where a class is in the checkpoint. In order: as its own file places it, if that file explains the whole checkpoint;
 * as another file of the workspace places it that explains the whole checkpoint; by its structure alone, unless such a
 * file places another class there.
 */
function placeOf(
  model: CodeModel,
  of: ModuleClass,
  own: ClassPlace | undefined,
  names: CheckpointNames,
  others: readonly CodeText[],
): ClassPlace | undefined {
  if (own?.whole) return own;
  let refuted = false;
  for (const other of others) {
    const places = placesOf(programOf(model, other).universe, names);
    const place = places.get(of);
    if (place?.whole) return place;
    const isTaken = (node: TrieNode) => own?.nodes.has(node) === true;
    refuted ||= [...places.values()].some(({ whole, nodes }) => whole && [...nodes].some(isTaken));
  }
  return refuted ? undefined : own;
}

function around(
  model: CodeModel,
  { parsed, universe }: Program,
  names: CheckpointNames,
  target: Target,
  row: number,
  others: readonly CodeText[],
): CodeAround {
  const enclosing = enclosingClass(parsed.classes, row);
  if (!enclosing || target.kind !== 'path' || target.base !== 'self') return { universe, enclosing, place: undefined };
  const own = placesOf(universe, names).get(enclosing);
  return { universe, enclosing, place: placeOf(model, enclosing, own, names, others) };
}

function groupsOf(checkpoint: CheckpointInCode, resolve: (names: CheckpointNames) => TrieNode[]): ModuleRanks[] {
  const names = namesOf(checkpoint.view);
  const nodes = resolve(names);
  if (nodes.length === 0) return [];
  const matrices = matricesUnder(nodes, names.matrices).map(({ matrix }) => matrix);
  return moduleRanks(matrices, (name) => checkpoint.finding(name));
}

function configTarget({ language, source }: CodeText, offset: number): Target | undefined {
  return language === 'yaml' ? yamlTarget(source.text, offset) : jsonTarget(source.text, offset);
}
