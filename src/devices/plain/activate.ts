import type { Activation } from '../networkOperations.ts';
import type { Values } from './values.ts';

const FUNCTIONS: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * erfc(-x * Math.SQRT1_2),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(ROOT_2_OVER_PI * (x + 0.044715 * x * x * x))),
  quickGelu: (x) => x / (1 + Math.exp(-1.702 * x)),
  relu: (x) => Math.max(x, 0),
  squaredRelu: (x) => (x < 0 ? 0 : x * x),
};

const SLOPES: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => logisticSlope(x, 1),
  gelu: (x) => 0.5 * erfc(-x * Math.SQRT1_2) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  geluTanh: (x) => {
    const t = Math.tanh(ROOT_2_OVER_PI * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT_2_OVER_PI * (1 + 3 * 0.044715 * x * x);
  },
  quickGelu: (x) => logisticSlope(x, 1.702),
  relu: (x) => (x > 0 ? 1 : 0),
  squaredRelu: (x) => 2 * Math.max(x, 0),
};

/** The derivative of x / (1 + e^(-k x)). */
function logisticSlope(x: number, k: number): number {
  const share = 1 / (1 + Math.exp(-k * x));
  return share * (1 + k * x * (1 - share));
}

const ROOT_2_OVER_PI = Math.sqrt(2 / Math.PI);

/** x <- f(x), or f(x) * factor: a gate is one (Shazeer, arXiv 2002.05202). */
export function activate(x: Values, activation: Activation, factor?: Values): void {
  const f = FUNCTIONS[activation];
  for (let i = 0; i < x.length; i++) x[i] = f(x[i]!) * (factor ? factor[i]! : 1);
}

/** gradient <- that of x, and that of the factor into `ofFactor`, from that of f(x) * factor. */
export function activateBack(
  gradient: Values,
  x: Values,
  activation: Activation,
  factor?: Values,
  ofFactor?: Values,
): void {
  const [f, slope] = [FUNCTIONS[activation], SLOPES[activation]];
  for (let i = 0; i < x.length; i++) {
    const own = gradient[i]!;
    if (ofFactor) ofFactor[i] = own * f(x[i]!);
    gradient[i] = own * slope(x[i]!) * (factor ? factor[i]! : 1);
  }
}

/** x <- scale x; a cap keeps the result within (-cap, cap) (Gemma 2). */
export function rescale(x: Values, scale: number, cap: number | null): void {
  for (let i = 0; i < x.length; i++) x[i] = cap === null ? scale * x[i]! : cap * Math.tanh((scale * x[i]!) / cap);
}

/**
 * The complementary error function, with a relative error below 1.2e-7: a Chebyshev fit (Press, Teukolsky, Vetterling,
 * Flannery, "Numerical Recipes in C", 1992, section 6.2).
 */
function erfc(x: number): number {
  const z = Math.abs(x);
  const t = 1 / (1 + 0.5 * z);
  const fit = COEFFICIENTS.reduceRight((sum, coefficient) => sum * t + coefficient, 0);
  const value = t * Math.exp(-z * z + fit);
  return x >= 0 ? value : 2 - value;
}

const COEFFICIENTS = [
  -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
  0.17087277,
];
