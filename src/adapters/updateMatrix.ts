import type { MatrixBase, MatrixRows, NetworkPlace } from '../model/matrixBase.ts';
import type { Role } from '../model/names/roles.ts';
import type { Update } from './update.ts';
import { updateRows } from './updateRows.ts';

/** Why the update of an adapter is not factorized. */
export const ADAPTER_FIXED = 'the update of an adapter, already stored as factors';

/** What an adapter adds to one layer, as a matrix that is never formed: its singular values come from its factors. */
export class UpdateMatrix implements MatrixBase {
  readonly kind = 'update';
  readonly fixed = ADAPTER_FIXED;
  readonly stack?: string;
  readonly layer: number | null;
  readonly module: string;
  readonly role: Role;
  readonly expert: number | null;

  constructor(
    readonly name: string,
    readonly update: Update,
    { stack, layer, module, role, expert }: NetworkPlace,
  ) {
    if (stack !== undefined) this.stack = stack;
    this.layer = layer;
    this.module = module;
    this.role = role;
    this.expert = expert;
  }

  get tensorName(): string {
    return this.name;
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
    return this.update.tensors.reduce((sum, { bytes }) => sum + bytes, 0) / (this.rows * this.cols);
  }

  identity(): readonly unknown[] {
    const { stored, scale, shape, tensors } = this.update;
    return [stored.kind, scale, shape, ...tensors.map(({ file, storage, dtype }) => [file, storage, dtype])];
  }

  source(): MatrixRows {
    return updateRows(this.name, this.update);
  }

  async deviation(): Promise<undefined> {
    return undefined;
  }
}
