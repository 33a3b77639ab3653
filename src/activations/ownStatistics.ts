import { RankscopeError } from '../base/errors.ts';
import { Allowance } from '../bytes/allowance.ts';
import { boundedJson, isObject } from '../bytes/boundedJson.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { type Tensor, valuesOf } from '../checkpoint/tensor.ts';
import type { InputGroup } from '../model/activations.ts';
import { ACTIVATIONS_FORMAT, KEYS, rName, tokensName } from './fileFormat.ts';
import type { Statistics, StatisticsEntry } from './statistics.ts';

/**
 * The statistics in a safetensors file as `fileFormat.ts` describes it, whoever wrote it.
 * @throws RankscopeError 'wrong-use' for another kind of file, 'malformed' with what contradicts the description
 */
export async function ownStatistics(checkpoint: Checkpoint, signal: AbortSignal | undefined): Promise<Statistics> {
  const { path, metadata, tensors, files } = checkpoint;
  const format = metadata.get(KEYS.format);
  if (format !== ACTIVATIONS_FORMAT)
    throw new RankscopeError(
      'wrong-use',
      path,
      format === undefined ? 'it holds no statistics of activations' : `its format is ${JSON.stringify(format)}`,
      `Name a file that rankscope calibrate wrote (${ACTIVATIONS_FORMAT}), or an imatrix of llama.cpp`,
    );
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const groups = groupsIn(path, metadata.get(KEYS.groups));
  const entries: StatisticsEntry[] = [];
  const names = new Set<string>();
  let most = 0;
  for (const group of groups) {
    const matrices = Object.entries(group.matrices);
    const inputs = matrices[0]![1][1];
    const r = tensorOf(path, byName, rName(group), [[inputs, inputs]], FLOATS);
    const counted = tensorOf(path, byName, tokensName(group), [[], [1]], INTEGERS);
    const [tokens = 0] = await valuesOf(counted, signal);
    if (tokens < 0) throw malformed(path, `${counted.name} is ${tokens}`);
    most = Math.max(most, tokens);
    for (const [name, shape] of matrices) {
      if (names.has(name)) throw malformed(path, `two groups list ${name}`);
      names.add(name);
      entries.push({
        name,
        shape,
        length: inputs * inputs,
        tokens: () => tokens,
        read: (start, out, cancel) => r.read(start, out, cancel),
        storage: r.storage,
      });
    }
  }
  const text = (key: string) => metadata.get(key)?.slice(0, 1000) ?? null;
  return {
    summary: {
      path,
      kind: 'full',
      text: text(KEYS.text),
      model: text(KEYS.model),
      producer: text(KEYS.producer),
      tokens: most,
    },
    naming: 'transformers',
    entries,
    file: files[0]!,
    close: () => checkpoint.close(),
  };
}

const FLOATS: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);
const INTEGERS: ReadonlySet<string> = new Set(['I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8']);

function tensorOf(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  shapes: readonly (readonly number[])[],
  types: ReadonlySet<string>,
): Tensor {
  const tensor = tensors.get(name);
  if (!tensor) throw malformed(path, `the tensor ${name} is missing`);
  const { shape, dtype } = tensor;
  const fits = shapes.some((each) => each.length === shape.length && each.every((size, axis) => size === shape[axis]));
  if (!fits || !types.has(dtype)) {
    const wanted = shapes.map((each) => `[${each.join(', ')}]`).join(' or ');
    throw malformed(path, `${name} is ${dtype} of shape [${shape.join(', ')}], where ${wanted} is expected`);
  }
  return tensor;
}

function groupsIn(path: string, text: string | undefined): InputGroup[] {
  if (text === undefined) throw malformed(path, `its metadata lack ${KEYS.groups}`);
  const groups = boundedJson(path, new TextEncoder().encode(text), new Allowance(path));
  if (!Array.isArray(groups) || groups.length === 0) throw malformed(path, `${KEYS.groups} is no list of groups`);
  const names = new Set<string>();
  for (const group of groups as unknown[]) {
    if (!isGroup(group)) throw malformed(path, `${KEYS.groups} lists ${JSON.stringify(group).slice(0, 200)}`);
    if (names.has(group.name)) throw malformed(path, `${KEYS.groups} lists ${group.name} twice`);
    names.add(group.name);
  }
  return groups as InputGroup[];
}

function isGroup(group: unknown): group is InputGroup {
  if (!isObject(group) || typeof group.name !== 'string' || !isObject(group.matrices)) return false;
  const shapes = Object.values(group.matrices);
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) > 0;
  const areShapes = shapes.every((shape) => Array.isArray(shape) && shape.length === 2 && shape.every(isSize));
  return areShapes && new Set((shapes as [number, number][]).map(([, inputs]) => inputs)).size === 1;
}

function malformed(path: string, found: string): RankscopeError {
  return new RankscopeError('malformed', path, found, 'Write the statistics again with: rankscope calibrate');
}
