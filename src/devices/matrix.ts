/** A dense row-major f32 matrix in the memory of a device. Only the backend that allocated it can use it. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
}
