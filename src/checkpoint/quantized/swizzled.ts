import { E4M3, smallFloatTable } from '../../base/smallFloats.ts';
import type { Tensor } from '../tensor.ts';
import { companionsOf } from './companions.ts';
import { comfyForm } from './declared.ts';
import { powerOfTwo } from './exponents.ts';
import { floatCodes } from './floatCodes.ts';
import { bytesIn, type Scheme } from './packed.ts';

/**
 * The block-scaled floats of ComfyUI: `nvfp4` (pairs of 4-bit floats, the first one in the high bits, groups of 16) and
 * `mxfp8` (8-bit floats in groups of 32). Their scales are in the tiled order that matrix units read.
 */
export const swizzled: Scheme = async (codes, directory) => {
  const module = /^(.*)\.weight$/.exec(codes.name)?.[1];
  if (module === undefined || codes.shape.length !== 2) return undefined;
  const form = await comfyForm(module, directory);
  if (form?.format !== 'nvfp4' && form?.format !== 'mxfp8') return undefined;
  const isPair = form.format === 'nvfp4';
  const { scales, extras } = companionsOf(codes.name, directory);
  const overall = isPair ? directory.tensors.get(`${codes.name}_scale_2`) : undefined;
  const [rows, stored] = codes.shape as [number, number];
  const cols = isPair ? stored * 2 : stored;
  const groups = cols / (isPair ? 16 : 32);
  const layout = { layout: `an unknown form of ${form.format} of ComfyUI` };
  const [tall, wide] = [128 * Math.ceil(rows / 128), 4 * Math.ceil(groups / 4)];
  if (codes.dtype !== (isPair ? 'U8' : 'F8_E4M3') || !Number.isInteger(groups) || scales?.bytes !== tall * wide)
    return layout;
  if (isPair && overall?.shape.reduce((product, size) => product * size, 1) !== 1) return layout;
  const table = smallFloatTable(E4M3);
  return floatCodes({
    name: codes.name,
    shape: [rows, cols],
    dtype: isPair ? 'NVFP4' : 'MXFP8',
    codes,
    scales,
    groups,
    bits: isPair ? 4 : 8,
    highFirst: true,
    extras: overall ? [overall, ...extras] : extras,
    async scalesOf(row, count, signal) {
      const whole = new Float32Array([1]);
      await overall?.read(0, whole, signal);
      const bytes = await tiledScales(scales, groups, row, count, signal);
      return Float32Array.from(bytes, (code) => (isPair ? table[code]! * whole[0]! : powerOfTwo(code)));
    },
  });
};

/**
 * The bytes of the scales of `count` rows from `row` on, row-major. They are stored in tiles of 128 rows by 4 scales,
 * whose rows r, r + 32, r + 64 and r + 96 lie beside each other (the scale factor layout of cuBLAS).
 */
async function tiledScales(scales: Tensor, groups: number, row: number, count: number, signal?: AbortSignal) {
  const tiles = Math.ceil(groups / 4);
  const first = Math.floor(row / 128);
  const bands = Math.floor((row + count - 1) / 128) + 1 - first;
  const stored = await bytesIn(scales, first * tiles * 512, bands * tiles * 512, signal);
  const out = new Uint8Array(count * groups);
  for (let at = 0, r = row; r < row + count; r++)
    for (let group = 0; group < groups; group++, at++) {
      const tile = (Math.floor(r / 128) - first) * tiles + (group >> 2);
      out[at] = stored[tile * 512 + (r % 32) * 16 + ((r % 128) >> 5) * 4 + (group & 3)]!;
    }
  return out;
}
