// The gradient of attention, from the softmax over all keys that a query sees (kernels/attend.ts).
import { fma, sum } from './vectors';

/**
 * Turns weights e^(score - largest) (count x keys), whose sums are in `states`, into shares of one, and the gradients of
 * these shares into those of the products of queries and keys: scale share (gradient - mean), times 1 - (score / cap)^2
 * where there is a cap.
 * @param capped the scores behind the cap; 0 without one
 */
export function scoresBack(
  count: i32,
  keys: i32,
  weights: usize,
  gradients: usize,
  states: usize,
  scale: f32,
  capped: usize,
  cap: f32,
): void {
  for (let k = 0; k < count; k++) {
    const row = (<usize>k * keys) << 2;
    const total = load<f64>(states + ((<usize>k) << 4), 8);
    const share = <f32>(total > 0 ? 1 / total : total);
    const shares = f32x4.splat(share);
    const w = weights + row;
    const g = gradients + row;
    let sums = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= keys; i += 4) {
      const at = (<usize>i) << 2;
      const p = f32x4.mul(shares, v128.load(w + at));
      v128.store(w + at, p);
      sums = fma(p, v128.load(g + at), sums);
    }
    let mean = sum(sums);
    for (; i < keys; i++) {
      const at = (<usize>i) << 2;
      const p = share * load<f32>(w + at);
      store<f32>(w + at, p);
      mean += p * load<f32>(g + at);
    }
    const means = f32x4.splat(mean);
    const factor = f32x4.splat(scale);
    const one = f32x4.splat(1);
    const inverse = f32x4.splat(cap > 0 ? 1 / cap : 0);
    i = 0;
    for (; i + 4 <= keys; i += 4) {
      const at = (<usize>i) << 2;
      let d = f32x4.mul(f32x4.mul(factor, v128.load(w + at)), f32x4.sub(v128.load(g + at), means));
      if (capped) {
        const c = f32x4.mul(v128.load(capped + row + at), inverse);
        d = f32x4.mul(d, f32x4.sub(one, f32x4.mul(c, c)));
      }
      v128.store(g + at, d);
    }
    for (; i < keys; i++) {
      const at = (<usize>i) << 2;
      let d = scale * load<f32>(w + at) * (load<f32>(g + at) - mean);
      if (capped) {
        const c = load<f32>(capped + row + at) / cap;
        d *= 1 - c * c;
      }
      store<f32>(g + at, d);
    }
  }
}
