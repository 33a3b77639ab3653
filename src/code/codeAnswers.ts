import type {
  ClassLine,
  CodeCalls,
  FindingInCode,
  LayerHint,
  ModulePaths,
  Question,
  TextReference,
  ViewInCode,
} from './codeCalls.ts';
import { CodeModel, type SourceText } from './codeModel.ts';
import { hoverText } from './hoverText.ts';
import { type CheckpointInCode, type ClassInsight, classInsights, insightsAt } from './insight.ts';
import type { CodeText } from './program.ts';
import type { PythonParser } from './pythonParser.ts';
import { summarize } from './rankSummary.ts';

export type CodeAnswers = {
  [Name in keyof CodeCalls]: (params: CodeCalls[Name]['params']) => Promise<CodeCalls[Name]['result']>;
};

/** Answers questions about code from the texts and checkpoints it was told of. */
export function codeAnswers(parser: PythonParser): CodeAnswers {
  const model = new CodeModel(parser);
  const texts = new Map<string, SourceText>();
  const checkpoints = new Map<string, KnownCheckpoint>();

  const textOf = (key: string): SourceText => texts.get(key) ?? { key, version: 0, text: '' };
  const codeText = ({ language, key, cells, imported, resolved }: TextReference): CodeText => ({
    language,
    source: textOf(key),
    cells: cells.map(textOf),
    imported: new Map(
      imported.map((file) => [file.path, { source: textOf(file.key), resolve: resolverOf(file.resolved) }]),
    ),
    resolve: resolverOf(resolved),
  });
  const parts = ({ text, others, paths }: Question) =>
    [codeText(text), paths.flatMap((path) => checkpoints.get(path) ?? []), others.map(codeText)] as const;

  return {
    text: async (source) => void texts.set(source.key, source),
    edit: async ({ key, version, edits }) => model.edit(key, version, edits),
    close: async ({ key }) => {
      texts.delete(key);
      model.drop(key);
    },
    checkpoint: async ({ path, view }) => void checkpoints.set(path, new KnownCheckpoint(path, view)),
    findings: async ({ path, findings }) => checkpoints.get(path)?.add(findings),
    forget: async ({ path }) => void checkpoints.delete(path),
    imports: async ({ keys }) => keys.flatMap((key) => model.parse(textOf(key)).imports.map(({ module }) => module)),
    hover: async ({ at, ...question }) => {
      const [text, known, others] = parts(question);
      const insights = insightsAt(model, text, at, known, others);
      const [first] = insights;
      if (!first) return null;
      return { span: first.span, texts: insights.map(({ checkpoint, groups }) => hoverText(checkpoint.path, groups)) };
    },
    lines: async (question) => {
      const [text, known, others] = parts(question);
      return classInsights(model, text, known, others).map(classLine);
    },
    hints: async ({ from, to, ...question }) => {
      const [text, known, others] = parts(question);
      return classInsights(model, text, known, others)
        .flatMap(({ fields }) => fields)
        .filter(({ span }) => span.line >= from && span.line <= to)
        .map(layerHint);
    },
  };
}

class KnownCheckpoint implements CheckpointInCode {
  private readonly findings = new Map<string, FindingInCode>();

  constructor(
    readonly path: string,
    readonly view: ViewInCode,
  ) {}

  add(findings: readonly FindingInCode[]): void {
    for (const finding of findings) this.findings.set(finding.name, finding);
  }

  finding(name: string): FindingInCode | undefined {
    return this.findings.get(name);
  }
}

function resolverOf(paths: ModulePaths): (module: string) => string | undefined {
  const byModule = new Map(paths);
  return (module) => byModule.get(module);
}

/** The line above a class that is found in an analyzed checkpoint. */
function classLine({ of, checkpoint, groups, places }: ClassInsight): ClassLine {
  const findings = groups.flatMap((group) => group.findings);
  const share =
    findings.reduce((sum, { effectiveRank, shape }) => sum + effectiveRank / Math.min(...shape), 0) / findings.length;
  const where = places === 1 ? '' : ` in ${places} places`;
  const count = findings.length === 1 ? '1 matrix' : `${findings.length} matrices`;
  return {
    span: of.span,
    title: `Rankscope: ${count}${where}, effective rank ${Math.round(100 * share)} % on average`,
    path: checkpoint.path,
    ...(findings[0] ? { name: findings[0].name } : {}),
  };
}

/** The hint after a layer: its median effective rank and its full rank. */
function layerHint({ span, group: { pattern, findings, matrices } }: ClassInsight['fields'][number]): LayerHint {
  const median = summarize(findings.map(({ effectiveRank }) => effectiveRank))?.median ?? 0;
  const full = Math.max(...matrices.map(({ shape }) => Math.min(...shape)));
  return {
    span,
    label: ` rank ${median.toFixed(1)}/${full}`,
    tooltip: `Median effective rank and full rank of ${pattern}`,
  };
}
