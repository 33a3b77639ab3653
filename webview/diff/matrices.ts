import type { DiffedMatrix, ModelDiff } from '../../src/model/diff/diff.ts';
import { placeText } from '../../src/model/place.ts';
import type { MatrixView } from '../../src/protocol/service.ts';
import { buildLayout, type Layout } from '../charts/layout.ts';

/** The matrices of a diff as they are arranged on the page. */
export interface DiffLayout {
  readonly layout: Layout;
  /** By the names that the layout uses: those of the tensors, with the role where a fused one is taken apart. */
  readonly byId: ReadonlyMap<string, DiffedMatrix>;
}

export function layoutOf({ matrices }: ModelDiff): DiffLayout {
  const counts = new Map<string, number>();
  for (const { name } of matrices) counts.set(name, (counts.get(name) ?? 0) + 1);
  const views = matrices.map((matrix): readonly [MatrixView, DiffedMatrix] => {
    const { name, stack, layer, module, dtype, expert, role } = matrix;
    const isPart = counts.get(name)! > 1;
    const place = { layer, module: isPart ? `${module} ${role}` : module, ...(stack === undefined ? {} : { stack }) };
    const [rows, cols] = comparedShape(matrix);
    const id = isPart ? `${name} ${role}` : name;
    return [{ name: id, dtype, shape: [rows, cols], ...place, ...(expert === undefined ? {} : { expert }) }, matrix];
  });
  return {
    layout: buildLayout(views.map(([view]) => view)),
    byId: new Map(views.map(([{ name }, matrix]) => [name, matrix])),
  };
}

/** [out, in] of what is compared: of a fused tensor, the rows of the part. */
export function comparedShape({ shape, rows, role }: DiffedMatrix): readonly [number, number] {
  const [outputs = 0, inputs = 0] = shape;
  return rows && role !== 'output' ? [rows[1] - rows[0], inputs] : [outputs, inputs];
}

/** `Layer 3, self_attn.q_proj`, with what a part of a fused tensor holds. */
export function diffPlace(matrix: DiffedMatrix): string {
  return matrix.rows ? `${placeText(matrix)}, ${matrix.role}` : placeText(matrix);
}
