import type { TextRequest } from '../../model/evaluation.ts';

/** Windows of a text unless its request says otherwise: enough tokens for the columns of most layers. */
const [CONTEXT, TOKENS] = [512, 16384];

/** The request of a text that a model is calibrated on. */
export function withCalibrationDefaults(text: TextRequest, modelContext: number): TextRequest {
  const context = text.context ?? Math.min(CONTEXT, modelContext, text.tokens ?? TOKENS);
  return { ...text, context, tokens: text.tokens ?? Math.max(TOKENS, context) };
}
