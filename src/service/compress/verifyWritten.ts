import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { openCheckpoint } from '../../checkpoint/open.ts';
import { factorModule } from '../../model/names/moduleOfWeight.ts';
import type { Factors } from '../../network/variant.ts';

/**
 * Reads a written file again and compares its factors with those that were measured, bit for bit, as they were rounded.
 * @param factors by the names of modules
 * @throws RankscopeError 'write-failed' with the first tensor that differs
 */
export async function verifyWritten(out: string, factors: ReadonlyMap<string, Factors>): Promise<void> {
  const checkpoint = await openCheckpoint(out);
  try {
    const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
    for (const [module, { a, b }] of factors)
      for (const [suffix, wanted] of [
        ['lowrank_a.weight', a],
        ['lowrank_b.weight', b],
      ] as const) {
        const name = `${factorModule(module)}.${suffix}`;
        const tensor = tensors.get(name);
        const values = new Float32Array(tensor ? elementCount(tensor.shape) : 0);
        await tensor?.read(0, values);
        if (values.length === wanted.length && values.every((value, at) => value === wanted[at])) continue;
        throw new RankscopeError(
          'write-failed',
          out,
          `${name} reads back other than it was written`,
          'Check the disk, and run the same command again',
        );
      }
  } finally {
    await checkpoint.close();
  }
}
