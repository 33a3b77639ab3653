import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { sizes } from './understandAxes.ts';

/** The reason why a tensor is not analyzed as a matrix; undefined if it is. */
export function notAMatrix(tensor: TensorDescription): string | undefined {
  const { dtype, name, refused } = tensor;
  if (refused !== undefined) return refused;
  if (/^(BOOL|[IU]\d+)$/.test(dtype)) return `${dtype === 'BOOL' ? 'booleans' : `integers (${dtype})`}, not weights`;
  if (/^C\d+$/.test(dtype)) return `complex numbers (${dtype})`;
  const shape = sizes(tensor);
  if (shape.includes(0)) return 'empty';
  if (shape.length === 0) return 'a single number';
  if (shape.length === 1 || (shape.length > 2 && shape.slice(0, -1).every((size) => size === 1))) return 'a vector';
  return !name.endsWith('.weight') && shape.length < 4 && isBias(name) ? 'biases, not weights' : undefined;
}

/**
 * A bias of every expert or head in one tensor: `down_proj_bias` (experts, out), TransformerLens's `b_Q`. A bias of
 * positions is a table, and a mask of four axes is called a bias by GPT-2.
 */
function isBias(name: string): boolean {
  return (
    /(^|[./_])((pos_)?bias_[uv]|bias(es)?|b_[QKV]|r_[wrs]_bias)(:0)?$/.test(name) &&
    !/pos(?!_bias_[uv])|rel_|relative|attention_biases/.test(name.slice(-40))
  );
}
