import type { MatrixFinding } from '../model/findings.ts';
import type { CheckpointView } from '../protocol/service.ts';
import type { SourceText } from './codeModel.ts';
import type { Span } from './moduleCode.ts';
import type { TextEdit } from './pythonParser.ts';

/** What code needs to know of a checkpoint. */
export type ViewInCode = Pick<CheckpointView, 'format' | 'tensors' | 'matrices' | 'metadata'>;

/** What code shows of a finding. */
export type FindingInCode = Pick<
  MatrixFinding,
  'name' | 'shape' | 'provenance' | 'effectiveRank' | 'energyRanks' | 'breakEvenRank'
>;

/** The files that imports mean, by the name of the module. */
export type ModulePaths = readonly (readonly [module: string, path: string])[];

/** A text with what belongs to it, as in program.ts; the texts themselves are named by their keys, and were told before. */
export interface TextReference {
  readonly language: string;
  readonly key: string;
  readonly cells: readonly string[];
  readonly imported: readonly { readonly path: string; readonly key: string; readonly resolved: ModulePaths }[];
  readonly resolved: ModulePaths;
}

/** A question about a text: which other texts may make the model, and with which checkpoints it is compared, the likeliest first. */
export interface Question {
  readonly text: TextReference;
  readonly others: readonly TextReference[];
  readonly paths: readonly string[];
}

/** Markdown for a stretch of a line. */
export interface HoverAnswer {
  readonly span: Span;
  readonly texts: readonly string[];
}

/** A line above a class. */
export interface ClassLine {
  readonly span: Span;
  readonly title: string;
  readonly path: string;
  /** The first of its matrices that has a finding. */
  readonly name?: string;
}

/** A word behind a layer. */
export interface LayerHint {
  readonly span: Span;
  readonly label: string;
  readonly tooltip: string;
}

/** What the extension host tells and asks the thread that understands code. */
export interface CodeCalls {
  /** A text as it is now. */
  text: { params: SourceText; result: void };
  /** The edits that lead to the next version of a text, which then follows. */
  edit: { params: { key: string; version: number; edits: readonly TextEdit[] }; result: void };
  close: { params: { key: string }; result: void };
  /** A checkpoint of which no findings are known yet. */
  checkpoint: { params: { path: string; view: ViewInCode }; result: void };
  findings: { params: { path: string; findings: readonly FindingInCode[] }; result: void };
  forget: { params: { path: string }; result: void };
  /** The modules that texts import. */
  imports: { params: { keys: readonly string[] }; result: readonly string[] };
  hover: { params: Question & { at: { row: number; column: number; offset: number } }; result: HoverAnswer | null };
  lines: { params: Question; result: readonly ClassLine[] };
  hints: { params: Question & { from: number; to: number }; result: readonly LayerHint[] };
}
