import { type Filter, readFilters } from '../chunks/filters.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import type { FoundObject } from '../groups/walk.ts';
import { textsOf } from './attributes.ts';
import { type Dataspace, readShape } from './dataspace.ts';
import { DATATYPE, type NumberType, readType } from './datatype.ts';
import { type Layout, readLayout } from './layout.ts';
import { bodyOf } from './sharedMessage.ts';

export interface Dataset extends Dataspace {
  readonly path: string;
  readonly type: NumberType;
  readonly layout: Layout;
  readonly filters: readonly Filter[];
  /** The stored bytes of an element that was never written; zeros if absent. */
  readonly fill?: Uint8Array;
}

const DATASPACE = 0x01;
const OLD_FILL = 0x04;
const FILL = 0x05;
const EXTERNAL_FILES = 0x07;
const LAYOUT = 0x08;
const FILTERS = 0x0b;

/** The dataset that an object's messages describe; undefined if it is not a dataset, such as a named datatype. */
export async function datasetOf(file: Hdf5File, object: FoundObject): Promise<Dataset | undefined> {
  const { path, messages } = object;
  const body = async (wanted: number): Promise<Piece | undefined> => {
    const message = messages.find(({ type }) => type === wanted);
    return message && (await bodyOf(file, message));
  };
  const layout = await body(LAYOUT);
  const space = await body(DATASPACE);
  const type = await body(DATATYPE);
  if (!layout || !space || !type) return undefined;
  if (await body(EXTERNAL_FILES))
    throw file.unsupported(`dataset ${JSON.stringify(path)} keeps its values in another file, which is not followed`);
  const filters = await body(FILTERS);
  const [fill, oldFill] = [await body(FILL), await body(OLD_FILL)];
  const ownType = await typeOf(file, object, readType(type));
  const value = (fill && readFill(fill)) ?? oldFill?.take(oldFill.u32());
  return {
    path,
    ...readShape(space),
    type: ownType,
    layout: readLayout(layout),
    filters: filters ? readFilters(filters) : [],
    // Copied, because a view would keep the whole header in memory.
    ...(value?.length === ownType.bytes && { fill: value.slice() }),
  };
}

/** Keras stores bfloat16 as opaque bytes and names the type in an attribute (saving_lib.py, H5Entry). */
async function typeOf(file: Hdf5File, object: FoundObject, stored: NumberType): Promise<NumberType> {
  if (stored.dtype !== 'OPAQUE' || stored.bytes !== 2) return stored;
  const named = (await textsOf(file, object)).get('dtype');
  return named === 'bfloat16' ? { ...stored, dtype: 'BF16' } : stored;
}

/** Specification IV.A.2.f; undefined if no fill value is defined. */
function readFill(body: Piece): Uint8Array | undefined {
  const version = body.u8();
  if (version > 2) return body.u8() & 0x20 ? body.take(body.u32()) : undefined;
  body.skip(2);
  const defined = body.u8() !== 0;
  return defined || version === 1 ? body.take(body.u32()) : undefined;
}
