// A step of Adam (plain/adam.ts has the formula).
import { fma } from './vectors';

/** Updates `count` entries of x and of both moments of its gradient, whose sum of squares is stored. */
export function adam(
  count: i32,
  x: usize,
  gradient: usize,
  first: usize,
  second: usize,
  keptOfFirst: f32,
  keptOfSecond: f32,
  size: f32,
  root: f32,
  epsilon: f32,
  squaresOf: usize,
): void {
  const k1 = f32x4.splat(keptOfFirst);
  const k2 = f32x4.splat(keptOfSecond);
  const n1 = f32x4.splat(1 - keptOfFirst);
  const n2 = f32x4.splat(1 - keptOfSecond);
  const steps = f32x4.splat(size);
  const roots = f32x4.splat(root);
  const least = f32x4.splat(epsilon);
  let total: f64 = 0;
  let i = 0;
  while (i + 4 <= count) {
    const end = min(count - 3, i + 4096);
    let squares = f64x2.splat(0);
    for (; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const g = v128.load(gradient + at);
      const square = f32x4.mul(g, g);
      const m = fma(k1, v128.load(first + at), f32x4.mul(n1, g));
      const v = fma(k2, v128.load(second + at), f32x4.mul(n2, square));
      v128.store(first + at, m);
      v128.store(second + at, v);
      const move = f32x4.div(f32x4.mul(steps, m), fma(roots, f32x4.sqrt(v), least));
      v128.store(x + at, f32x4.sub(v128.load(x + at), move));
      squares = f64x2.add(
        squares,
        f64x2.add(
          f64x2.promote_low_f32x4(square),
          f64x2.promote_low_f32x4(v128.shuffle<f32>(square, square, 2, 3, 2, 3)),
        ),
      );
    }
    total += f64x2.extract_lane(squares, 0) + f64x2.extract_lane(squares, 1);
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    const g = load<f32>(gradient + at);
    const m = keptOfFirst * load<f32>(first + at) + (1 - keptOfFirst) * g;
    const v = keptOfSecond * load<f32>(second + at) + (1 - keptOfSecond) * g * g;
    store<f32>(first + at, m);
    store<f32>(second + at, v);
    store<f32>(x + at, load<f32>(x + at) - (size * m) / (root * sqrt<f32>(v) + epsilon));
    total += <f64>g * g;
  }
  store<f64>(squaresOf, total);
}
