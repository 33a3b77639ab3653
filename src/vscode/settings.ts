import * as vscode from 'vscode';
import type { DeviceRequest } from '../base/deviceInfo.ts';

const section = () => vscode.workspace.getConfiguration('rankscope');

/** The engine settings that go with every computing call. */
export function engineRequest(): DeviceRequest {
  const threads = section().get<number>('threads', 0);
  return { engine: section().get<string>('engine', 'auto'), ...(threads > 0 ? { threads } : {}) };
}

export const nodePath = (): string => section().get<string>('node.path', '').trim();
export const blasFile = (): string => section().get<string>('blas', '').trim();
/** Whether a written checkpoint continues a prompt beside the model it was made of. */
export const isSmokeTestWanted = (): boolean => section().get<boolean>('apply.smokeTest', true);
export const cacheBytes = (): number => section().get<number>('cache.megabytes', 512) * 1e6;

/** How much of a text is measured: tokens of a window, and all tokens; the defaults of the service where absent. */
export function evaluationLimits(): { readonly context?: number; readonly tokens?: number } {
  return textLimits('evaluation.tokens', 8192);
}

/** The same for the text that activations are collected on. */
export const collectionLimits = (): ReturnType<typeof evaluationLimits> => textLimits('activations.tokens', 16_384);

function textLimits(setting: string, most: number): { readonly context?: number; readonly tokens?: number } {
  const [context, tokens] = [section().get('text.context', 0), section().get(setting, most)];
  return { ...(context > 0 ? { context } : {}), ...(tokens > 0 ? { tokens } : {}) };
}

/** Features that can be switched off. */
export type CodeFeature = 'hover' | 'codeLens' | 'inlayHints';
export const isEnabled = (feature: CodeFeature): boolean => section().get<boolean>(`${feature}.enabled`, true);
