import { freeLinear } from '../blocks/deviceLinear.ts';
import { uploadFactors } from '../blocks/passRows.ts';
import type { Linear } from '../operations/linear.ts';
import type { Run } from '../operations/run.ts';
import type { Factors } from '../variant.ts';

/** Layers whose factors are put in their place while rows wait before them. */
export class Exchange {
  private readonly shells = new Map<Linear, { -readonly [Key in keyof Linear]: Linear[Key] }>();
  private readonly taken: Linear[] = [];

  constructor(private readonly run: Run) {}

  /** What passes in place of a dense layer: the same, until it is exchanged. */
  shellOf(layer: Linear): Linear {
    const shell = this.shells.get(layer) ?? { ...layer };
    this.shells.set(layer, shell);
    return shell;
  }

  async put(layer: Linear, factors: Factors): Promise<void> {
    const uploaded = await uploadFactors(this.run.backend, layer, factors, this.run.signal);
    this.taken.push(uploaded);
    this.shells.get(layer)!.steps = uploaded.steps;
  }

  /** Frees the factors. */
  free(): void {
    for (const layer of this.taken.splice(0)) freeLinear(this.run.backend, layer);
    this.shells.clear();
  }
}
