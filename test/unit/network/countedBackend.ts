import type { Backend, Matrix } from '../../../src/devices/backend.ts';

/** The backend, with the bytes of its matrices now, and the most at any time. */
export function counted(backend: Backend): { backend: Backend; now: () => number; peak: () => number } {
  let [now, most] = [0, 0];
  const alive = new Set<Matrix>();
  const bytesOf = ({ rows, cols }: Matrix) => 4 * rows * cols;
  const own: Partial<Backend> = {
    async allocate(rows, cols) {
      const matrix = await backend.allocate(rows, cols);
      alive.add(matrix);
      now += bytesOf(matrix);
      most = Math.max(most, now);
      return matrix;
    },
    free(matrix) {
      if (alive.delete(matrix)) now -= bytesOf(matrix);
      backend.free(matrix);
    },
  };
  const counting = new Proxy(backend, {
    get(target, name: keyof Backend) {
      const value = own[name] ?? target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { backend: counting, now: () => now, peak: () => most };
}
