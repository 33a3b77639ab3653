import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { MAX_FOLDER_ENTRIES } from '../../bytes/limits.ts';
import { attempt } from '../../bytes/source/fileSource.ts';
import type { OpenContext } from '../../formats/format.ts';
import { type Checkpoint, checkpointOver } from '../checkpoint.ts';
import { configurationBeside, type ReadingContext } from '../configuration.ts';
import type { Tensor } from '../tensor.ts';
import { joinedTensor } from './joinedTensor.ts';

/**
 * How Meta names the parts of a model for tensor parallelism: each holds a slice of every matrix, and all of the norms.
 */
const PART = /^consolidated\.(\d\d)\.(pth|pt|safetensors)$/;

/**
 * Paths of the parts to which the file at `path` belongs, in their order; undefined for any other file and for a model
 * in one part.
 * @throws RankscopeError 'malformed' if a part is missing
 */
export async function parallelParts(path: string): Promise<readonly string[] | undefined> {
  const [, , extension] = PART.exec(basename(path)) ?? [];
  if (extension === undefined) return undefined;
  const folder = dirname(path);
  const names = (await attempt(folder, () => readdir(folder))).slice(0, MAX_FOLDER_ENTRIES);
  const parts = names.filter((name) => PART.exec(name)?.[2] === extension).sort();
  const last = Number(PART.exec(parts.at(-1)!)![1]);
  if (last === 0) return undefined;
  if (parts.length !== last + 1)
    throw new RankscopeError(
      'malformed',
      folder,
      `there are ${parts.length} of the ${last + 1} or more parts of a model (${parts[0]} to ${parts.at(-1)})`,
      'Each holds a slice of every matrix: download the missing ones',
    );
  return parts.map((name) => join(folder, name));
}

/** The first part of a set among the names of a folder. */
export function firstPart(names: readonly string[]): string | undefined {
  return names.find((name) => PART.exec(name)?.[1] === '00');
}

/**
 * Opens the parts and joins each tensor from its slices. Along which axis follows from the width of the model, which
 * params.json beside the parts says: a matrix that reads the width is split by outputs, one that writes it by inputs.
 * Tensors that every part holds whole (norms, routers, rotary frequencies) are taken once.
 */
export async function openParallelParts(
  paths: readonly string[],
  context: Pick<OpenContext, 'path' | 'openPart'> & ReadingContext,
): Promise<Checkpoint> {
  const parts: Checkpoint[] = [];
  try {
    for (const path of paths) parts.push(await context.openPart(path));
    const width = await widthOf(paths[0]!, parts[0]!, context);
    const { tensors, left } = joinAll(parts, width);
    const remark = `${left.length} tensors are left out, because how they are split is not known (${left.slice(0, 3).join(', ')}${left.length > 3 ? ' ...' : ''}).`;
    return checkpointOver(
      {
        path: context.path,
        format: parts[0]!.format,
        files: parts.flatMap(({ files }) => files),
        tensors,
        metadata: parts[0]!.metadata,
        warnings: [
          `Joined from ${parts.length} parts, each with a slice of every matrix.`,
          ...(left.length > 0 ? [remark] : []),
          ...new Set(parts.flatMap(({ warnings }) => warnings)),
        ],
        security: parts.flatMap(({ security }) => security),
      },
      parts,
    );
  } catch (error) {
    await Promise.all(parts.map((part) => part.close()));
    throw error;
  }
}

/** The width of the residual stream: `dim` in params.json, or else the length of the last norm. */
async function widthOf(path: string, first: Checkpoint, context: ReadingContext): Promise<number | undefined> {
  const dim = (await configurationBeside(dirname(path), 'params.json', context))?.dim;
  if (typeof dim === 'number') return dim;
  return first.tensors.find(({ name, shape }) => shape.length === 1 && /(^|\.)norm\.weight$/.test(name))?.shape[0];
}

function joinAll(parts: readonly Checkpoint[], width: number | undefined): { tensors: Tensor[]; left: string[] } {
  const [first, ...others] = parts;
  const byName = others.map(({ tensors }) => new Map(tensors.map((tensor) => [tensor.name, tensor])));
  const tensors: Tensor[] = [];
  const left: string[] = [];
  for (const tensor of first!.tensors) {
    const slices = [tensor, ...byName.map((part, p) => sliceIn(part.get(tensor.name), tensor, others[p]!.path))];
    const axis = splitAxis(tensor, slices.length, width);
    if (axis === undefined) left.push(tensor.name);
    else tensors.push(axis === 'whole' ? tensor : joinedTensor(slices, axis));
  }
  return { tensors, left };
}

function sliceIn(slice: Tensor | undefined, first: Tensor, path: string): Tensor {
  if (slice?.dtype === first.dtype && slice.shape.join() === first.shape.join()) return slice;
  const found = slice ? `has the shape [${slice.shape.join(', ')}] (${slice.dtype})` : 'is missing';
  throw new RankscopeError(
    'malformed',
    path,
    `its slice of ${first.name} ${found}, where ${basename(first.file.path)} has [${first.shape.join(', ')}] (${first.dtype})`,
    'The parts do not belong together: download them again into one folder',
  );
}

/** The axis along which `count` parts split a tensor of which each holds `slice`; undefined if nothing tells. */
function splitAxis({ name, shape }: Tensor, count: number, width: number | undefined): 0 | 1 | 'whole' | undefined {
  if (/norm|freqs|router|\.gate\.weight$/.test(name)) return 'whole';
  const [rows, cols] = shape;
  if (shape.length === 1) return rows === width ? 'whole' : 0;
  if (shape.length !== 2 || width === undefined) return undefined;
  if (cols === width && !(rows === width && /\.(wo|w2)\.weight$/.test(name))) return 0;
  return rows === width || cols! * count === width ? 1 : undefined;
}
