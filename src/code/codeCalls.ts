import type { ActivationFinding, MatrixFinding } from '../model/findings.ts';
import type { CheckpointView } from '../protocol/service.ts';
import type { SourceText } from './codeModel.ts';
import type { Span } from './moduleCode.ts';
import type { TextEdit } from './pythonParser.ts';

/** What matching code needs of a checkpoint. */
export type ViewInCode = Pick<CheckpointView, 'format' | 'tensors' | 'matrices' | 'metadata'>;

/** What is shown of a finding in code. */
export type FindingInCode = Pick<
  MatrixFinding,
  'name' | 'shape' | 'provenance' | 'effectiveRank' | 'energyRanks' | 'breakEvenRank'
> & {
  /** The same ranks of W X; absent without statistics of the activations. */
  readonly activations?: Pick<ActivationFinding, 'effectiveRank' | 'energyRanks'>;
};

/** The files that imported modules resolve to. */
export type ModulePaths = readonly (readonly [module: string, path: string])[];

/** A `CodeText` (program.ts) in which texts are given by the keys under which they were told. */
export interface TextReference {
  readonly language: string;
  readonly key: string;
  readonly cells: readonly string[];
  readonly imported: readonly { readonly path: string; readonly key: string; readonly resolved: ModulePaths }[];
  readonly resolved: ModulePaths;
}

/**
 * A question about a text: `others` may define the model that uses its classes, `paths` are the checkpoints to match,
 * likeliest first.
 */
export interface Question {
  readonly text: TextReference;
  readonly others: readonly TextReference[];
  readonly paths: readonly string[];
}

/** The Markdown of a hover, and the part of the line it is about. */
export interface HoverAnswer {
  readonly span: Span;
  readonly texts: readonly string[];
}

/** A line above a class. */
export interface ClassLine {
  readonly span: Span;
  readonly title: string;
  readonly path: string;
  /** The first of its matrices with a finding. */
  readonly name?: string;
}

/** A hint after a layer. */
export interface LayerHint {
  readonly span: Span;
  readonly label: string;
  readonly tooltip: string;
}

/** The calls of the extension host to the code thread. */
export interface CodeCalls {
  /** Gives the current version of a text. */
  text: { params: SourceText; result: void };
  /** Gives the edits that lead to the next version of a text; `text` follows. */
  edit: { params: { key: string; version: number; edits: readonly TextEdit[] }; result: void };
  close: { params: { key: string }; result: void };
  /** Gives a checkpoint, without findings. */
  checkpoint: { params: { path: string; view: ViewInCode }; result: void };
  findings: { params: { path: string; findings: readonly FindingInCode[] }; result: void };
  forget: { params: { path: string }; result: void };
  /** The modules imported by these texts. */
  imports: { params: { keys: readonly string[] }; result: readonly string[] };
  hover: { params: Question & { at: { row: number; column: number; offset: number } }; result: HoverAnswer | null };
  lines: { params: Question; result: readonly ClassLine[] };
  hints: { params: Question & { from: number; to: number }; result: readonly LayerHint[] };
}
