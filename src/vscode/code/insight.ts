import type { Session } from '../sessions/session.ts';
import { namesOf, placesOf } from './checkpointNames.ts';
import { type CodeModel, enclosingClass } from './codeModel.ts';
import { jsonTarget, yamlTarget } from './configTarget.ts';
import type { ModuleClass, Span } from './moduleCode.ts';
import type { Place, Places } from './placeClasses.ts';
import { type CodeText, type Program, programOf } from './program.ts';
import { pythonTarget, type Target } from './pythonTarget.ts';
import { type ModuleRanks, moduleRanks } from './rankSummary.ts';
import { type CheckpointNames, matricesUnder, resolveTarget } from './resolveTarget.ts';
import { type TrieNode, walk } from './tensorTrie.ts';

/** What one checkpoint says about a place in code. */
export interface Insight {
  readonly session: Session;
  readonly span: Span;
  readonly groups: readonly ModuleRanks[];
}

/** Two checkpoints of one model can be compared in a hover, three are a page. */
const CHECKPOINTS = 2;

/** The ranks of what stands at a place of a text, by checkpoint; none where nothing certain is known. */
export function insightsAt(
  model: CodeModel,
  text: CodeText,
  at: { readonly row: number; readonly column: number; readonly offset: number },
  sessions: readonly Session[],
  others: readonly CodeText[] = [],
): Insight[] {
  const code = text.language === 'python' ? programOf(model, text) : undefined;
  const target = code ? pythonTarget(code.parsed.tree, at.row, at.column) : configTarget(text, at.offset);
  if (!target) return [];
  const found = sessions.flatMap((session) => {
    const groups = groupsOf(session, (names) => {
      const surroundings = code && around(code, names, target, at.row);
      const { enclosing } = surroundings ?? {};
      const place = enclosing && surroundings?.places.get(enclosing);
      if (enclosing && place && isRefuted(model, enclosing, place, names, others)) return [];
      return resolveTarget(target, names, surroundings);
    });
    return groups.length > 0 ? [{ session, span: target.span, groups }] : [];
  });
  const analyzed = found.filter(({ groups }) => groups.some(({ findings }) => findings.length > 0));
  return (analyzed.length > 0 ? analyzed : found.slice(0, 1)).slice(0, CHECKPOINTS);
}

/** A class of a text that lies in an analyzed checkpoint. */
export interface ClassInsight {
  readonly of: ModuleClass;
  readonly session: Session;
  /** How often the class occurs in the checkpoint. */
  readonly places: number;
  readonly groups: readonly ModuleRanks[];
  /** By field of the class: the ranks of the one module it makes. */
  readonly fields: readonly { readonly span: Span; readonly group: ModuleRanks }[];
}

/** The classes of a text that lie in a checkpoint, each in the first checkpoint that has it. */
export function classInsights(
  model: CodeModel,
  text: CodeText,
  sessions: readonly Session[],
  others: readonly CodeText[] = [],
): ClassInsight[] {
  const code = programOf(model, text);
  return code.parsed.classes.flatMap((of) => {
    for (const session of sessions) {
      const names = session.view && namesOf(session.view);
      const place = names && placesOf(code.universe, names).get(of);
      if (!place || isRefuted(model, of, place, names, others)) continue;
      const { nodes } = place;
      const groups = groupsOf(session, () => [...nodes]);
      if (!groups.some(({ findings }) => findings.length > 0)) continue;
      const fields = of.fields.flatMap(({ name, span }) => {
        const own = groupsOf(session, () => [...nodes].flatMap((node) => walk(node, [name])));
        return own.length === 1 && own[0]!.findings.length > 0 ? [{ span, group: own[0]! }] : [];
      });
      return [{ of, session, places: nodes.size, groups, fields }];
    }
    return [];
  });
}

/**
 * Whether other code of the workspace makes the whole checkpoint and has another class at the place where this one was found by its
 * structure alone.
 */
function isRefuted(
  model: CodeModel,
  of: ModuleClass,
  { nodes, whole }: Place,
  names: CheckpointNames,
  others: readonly CodeText[],
): boolean {
  if (whole) return false;
  let refuted = false;
  for (const other of others) {
    const places = placesOf(programOf(model, other).universe, names);
    if (places.get(of)?.whole) return false;
    refuted ||= [...places.values()].some((place) => place.whole && [...place.nodes].some((node) => nodes.has(node)));
  }
  return refuted;
}

function around({ parsed, universe }: Program, names: CheckpointNames, target: Target, row: number) {
  const needsPlaces = target.kind === 'path' && target.base === 'self';
  return {
    universe,
    enclosing: enclosingClass(parsed.classes, row),
    places: needsPlaces ? placesOf(universe, names) : (new Map() as Places),
  };
}

function groupsOf(session: Session, resolve: (names: CheckpointNames) => TrieNode[]): ModuleRanks[] {
  const { view } = session;
  if (!view) return [];
  const nodes = resolve(namesOf(view));
  if (nodes.length === 0) return [];
  return moduleRanks(matricesUnder(nodes, view.matrices), (name) => session.finding(name));
}

function configTarget({ language, source }: CodeText, offset: number): Target | undefined {
  return language === 'yaml' ? yamlTarget(source.text, offset) : jsonTarget(source.text, offset);
}
