import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { boundedJson, isObject } from '../../bytes/boundedJson.ts';
import { MAX_DIMENSIONS, MAX_SHARDS, MAX_TENSORS } from '../../bytes/limits.ts';

export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  /** The type in which the model uses the weight: F32, I32, BOOL, C64 or STRING. */
  readonly dtype: string;
  /**
   * How the weight is stored if not as `dtype`: quantized (value = q * scale + min), or as F16, which ignores scale and
   * min.
   */
  readonly stored?: { readonly dtype: string; readonly scale: number; readonly min: number };
}

/** Weights stored one after another in the concatenation of the files `paths`. */
export interface WeightGroup {
  readonly paths: readonly string[];
  readonly weights: readonly Weight[];
}

export interface Manifest {
  readonly groups: readonly WeightGroup[];
  readonly metadata: ReadonlyMap<string, string>;
}

const DTYPES: Readonly<Record<string, string>> = {
  float32: 'F32',
  int32: 'I32',
  bool: 'BOOL',
  complex64: 'C64',
  string: 'STRING',
};
const STORED: Readonly<Record<string, string>> = { uint8: 'U8', uint16: 'U16', float16: 'F16' };

/**
 * Reads the weights manifest of a `model.json` (tfjs-core, io/types.ts). @throws RankscopeError 'malformed' or
 * 'unsupported'
 */
export function parseManifest(file: string, bytes: Uint8Array, allowance: Allowance): Manifest {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged: copy or download it again');
  const json = boundedJson(file, bytes, allowance);
  const { weightsManifest, format, generatedBy, convertedBy } = isObject(json) ? json : {};
  if (!Array.isArray(weightsManifest)) throw malformed('it has no "weightsManifest"');
  const groups = weightsManifest.map((group: unknown): WeightGroup => {
    const { paths, weights } = isObject(group) ? group : {};
    if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string'))
      throw malformed('a group of weights has no list of "paths"');
    if (!Array.isArray(weights)) throw malformed('a group has no list of "weights"');
    return { paths, weights: weights.map((weight) => parseWeight(file, weight, malformed, allowance)) };
  });
  if (groups.reduce((sum, { paths }) => sum + paths.length, 0) > MAX_SHARDS)
    throw malformed(`it names more than ${MAX_SHARDS} files`);
  if (groups.reduce((sum, { weights }) => sum + weights.length, 0) > MAX_TENSORS)
    throw malformed(`it lists more than ${MAX_TENSORS} weights`);
  const texts = Object.entries({ format, generatedBy, convertedBy }).filter(([, value]) => typeof value === 'string');
  return { groups, metadata: new Map(texts as [string, string][]) };
}

function parseWeight(
  file: string,
  weight: unknown,
  malformed: (found: string) => RankscopeError,
  allowance: Allowance,
): Weight {
  const { name, shape, dtype, quantization } = isObject(weight) ? weight : {};
  if (typeof name !== 'string') throw malformed('a weight has no name');
  const fail = (found: string) => malformed(`weight ${JSON.stringify(name)} ${found}`);
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 0;
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isSize))
    throw fail(`has the invalid shape ${JSON.stringify(shape)?.slice(0, 100)}`);
  allowance.spendTensor(name.length, shape.length);
  const type = typeof dtype === 'string' ? DTYPES[dtype] : undefined;
  if (type === undefined) throw fail(`has the unknown type ${JSON.stringify(dtype)}`);
  if (quantization === undefined) return { name, shape, dtype: type };
  const { dtype: coded, scale = 1, min = 0 } = isObject(quantization) ? quantization : {};
  const stored = typeof coded === 'string' ? STORED[coded] : undefined;
  if (stored === undefined || typeof scale !== 'number' || typeof min !== 'number')
    throw new RankscopeError('unsupported', file, `weight ${JSON.stringify(name)} is quantized in an unknown way`);
  return { name, shape, dtype: type, stored: { dtype: stored, scale, min } };
}
