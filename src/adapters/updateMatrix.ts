import type { MatrixBase, MatrixRows, NetworkPlace } from '../model/matrixBase.ts';
import type { Role } from '../model/names/roles.ts';
import { settingsOf } from './parts.ts';
import type { Update } from './update.ts';
import { updateRows } from './updateRows.ts';

/** Why the update of an adapter is not factorized. */
export const ADAPTER_FIXED = 'the update of an adapter, already stored as factors';

/** What an adapter adds to one layer, as a matrix that is never formed: its singular values come from its factors. */
export class UpdateMatrix implements MatrixBase {
  readonly kind = 'update';
  readonly fixed = ADAPTER_FIXED;
  readonly name: string;
  readonly stack?: string;
  readonly layer: number | null;
  readonly module: string;
  readonly role: Role;
  readonly expert: number | null;

  /** @param tensorName the adapted tensor, of which a stacked update changes one slice. */
  constructor(
    readonly tensorName: string,
    readonly update: Update,
    { stack, layer, module, role, expert }: NetworkPlace,
  ) {
    const suffix = update.stack ? `[${update.stack.index}]` : '';
    this.name = tensorName + suffix;
    if (stack !== undefined) this.stack = stack;
    this.layer = layer;
    this.module = module + suffix;
    this.role = role;
    this.expert = update.stack?.index ?? expert;
  }

  get dtype(): string {
    return this.update.tensors[0]!.dtype;
  }

  get shape(): readonly [number, number] {
    return this.update.shape;
  }

  get rows(): number {
    return this.update.shape[0];
  }

  get cols(): number {
    return this.update.shape[1];
  }

  get bytesPerElement(): number {
    const { tensors, stack } = this.update;
    return tensors.reduce((sum, { bytes }) => sum + bytes, 0) / (stack?.count ?? 1) / (this.rows * this.cols);
  }

  identity(): readonly unknown[] {
    const { stored, scale, shape, tensors } = this.update;
    return [settingsOf(stored), scale, shape, ...tensors.map(({ file, storage, dtype }) => [file, storage, dtype])];
  }

  source(): MatrixRows {
    return updateRows(this.name, this.update);
  }

  async deviation(): Promise<undefined> {
    return undefined;
  }
}
