import { resolve, sep } from 'node:path';
import type { ComparedAdapter, ComparedLayer } from '../../model/comparison.ts';

/** A short, distinct name for each adapter: the folder's name if the file has a conventional one. */
export function adapterLabels(sources: readonly { readonly path: string; readonly name: string | null }[]): string[] {
  const parts = sources.map((source) => {
    const words = resolve(source.path).split(sep).filter(Boolean);
    const last = words.at(-1) ?? '';
    const isUsual = /^(adapter_model|pytorch_lora_weights|adapter)\.\w+$/.test(last);
    return isUsual && words.length > 1 ? words.slice(0, -1) : [...words.slice(0, -1), last.replace(/\.\w+$/, '')];
  });
  const own = sources.map(({ name }) => (name === null ? '' : ` (${name})`));
  const longest = Math.max(...parts.map((words) => words.length));
  for (let depth = 1; depth <= longest; depth++) {
    const labels = parts.map((words, index) => words.slice(-depth).join('/') + own[index]);
    if (new Set(labels).size === labels.length) return labels;
  }
  // The same file was named twice.
  return parts.map((words, index) => `${words.at(-1)}${own[index]} #${index + 1}`);
}

/** What a reader should know before looking at the numbers. */
export function comparisonRemarks(adapters: readonly ComparedAdapter[], layers: readonly ComparedLayer[]): string[] {
  const remarks: string[] = [];
  const bases = new Set(adapters.flatMap(({ base }) => base ?? []));
  if (bases.size > 1) {
    const said = adapters.filter(({ base }) => base !== null).map(({ label, base }) => `${label}: ${base}`);
    remarks.push(`The adapters name different bases (${said.join('; ')}), so their updates may not be comparable`);
  }
  const silent = adapters.filter(({ base }) => base === null).map(({ label }) => label);
  if (silent.length > 0) remarks.push(`These adapters do not name their base: ${silent.join(', ')}`);
  const shared = layers.filter(({ updates }) => updates.filter(Boolean).length > 1).length;
  if (shared === 0) remarks.push('No layer is adapted by two of them: they may be for different bases');
  const partly = layers.filter(({ updates }) => updates.some((update) => update === null)).length;
  if (shared > 0 && partly > 0) remarks.push(`${partly} of ${layers.length} layers are not adapted by all adapters`);
  const unlike = layers.filter(
    ({ updates }) => new Set(updates.flatMap((update) => (update ? [String(update.shape)] : []))).size > 1,
  );
  if (unlike.length > 0)
    remarks.push(
      `In ${unlike.length} of ${layers.length} layers the shapes differ: the adapters cannot have the same base`,
    );
  if (layers.some(({ updates }) => updates.some((update) => update?.dora)))
    remarks.push('DoRA also rescales the adapted matrices: only the updates are compared');
  return remarks;
}
