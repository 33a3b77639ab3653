import type { Session } from '../sessions/session.ts';
import { namesOf, placesOf } from './checkpointNames.ts';
import { type CodeModel, enclosingClass, type ParsedText, type SourceText } from './codeModel.ts';
import { jsonTarget, yamlTarget } from './configTarget.ts';
import type { ModuleClass, Span } from './moduleCode.ts';
import { pythonTarget, type Target } from './pythonTarget.ts';
import { type ModuleRanks, moduleRanks } from './rankSummary.ts';
import { matricesUnder, resolveTarget } from './resolveTarget.ts';
import { type TrieNode, walk } from './tensorTrie.ts';
import type { Universe } from './universe.ts';

/** A text with the others that share its names: the cells of one notebook, or itself alone. */
export interface CodeText {
  readonly language: string;
  readonly source: SourceText;
  readonly siblings: readonly SourceText[];
  readonly universeKey: string;
}

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
): Insight[] {
  const code = text.language === 'python' ? codeOf(model, text) : undefined;
  const target = code ? pythonTarget(code.parsed.tree, at.row, at.column) : configTarget(text, at.offset);
  if (!target) return [];
  const found = sessions.flatMap((session) => {
    const groups = groupsOf(session, (names) =>
      resolveTarget(target, names, code && around(code, names, target, at.row)),
    );
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
export function classInsights(model: CodeModel, text: CodeText, sessions: readonly Session[]): ClassInsight[] {
  const code = codeOf(model, text);
  return code.parsed.classes.flatMap((of) => {
    for (const session of sessions) {
      const names = session.view && namesOf(session.view);
      const nodes = names && placesOf(code.universe, names).get(of);
      if (!nodes) continue;
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

interface Code {
  readonly parsed: ParsedText;
  readonly universe: Universe;
}

function codeOf(model: CodeModel, { source, siblings, universeKey }: CodeText): Code {
  const all = siblings.map((sibling) => model.parse(sibling));
  const parsed = model.parse(source);
  return { parsed, universe: model.universe(siblings.length > 0 ? all : [parsed], universeKey) };
}

function around({ parsed, universe }: Code, names: Parameters<typeof placesOf>[1], target: Target, row: number) {
  const needsPlaces = target.kind === 'path' && target.base === 'self';
  return {
    universe,
    enclosing: enclosingClass(parsed.classes, row),
    places: needsPlaces ? placesOf(universe, names) : new Map(),
  };
}

function groupsOf(session: Session, resolve: (names: ReturnType<typeof namesOf>) => TrieNode[]): ModuleRanks[] {
  const { view } = session;
  if (!view) return [];
  const nodes = resolve(namesOf(view));
  if (nodes.length === 0) return [];
  return moduleRanks(matricesUnder(nodes, view.matrices), (name) => session.finding(name));
}

function configTarget({ language, source }: CodeText, offset: number): Target | undefined {
  return language === 'yaml' ? yamlTarget(source.text, offset) : jsonTarget(source.text, offset);
}
