import { type Field, LEAVES, type ModuleClass, PLAIN_BASES } from './moduleCode.ts';

/** The classes that code can name: those of one file, or of all cells of one notebook. */
export class Universe {
  private readonly byName = new Map<string, ModuleClass>();

  /** Of two classes with one name the later counts, as in Python. */
  constructor(readonly classes: readonly ModuleClass[]) {
    for (const one of classes) this.byName.set(one.name, one);
  }

  find(name: string): ModuleClass | undefined {
    return this.byName.get(name);
  }

  /** The class with all its bases that are known here, itself first. */
  lineage(of: ModuleClass): ModuleClass[] {
    const line: ModuleClass[] = [];
    const visit = (one: ModuleClass) => {
      if (line.includes(one)) return;
      line.push(one);
      for (const base of one.bases) {
        const known = this.byName.get(base);
        if (known) visit(known);
      }
    };
    visit(of);
    return line;
  }

  /** All fields, inherited ones included; a class's own replace those of its bases. */
  fields(of: ModuleClass): Field[] {
    const merged = new Map<string, Field>();
    for (const one of this.lineage(of).reverse()) for (const field of one.fields) merged.set(field.name, field);
    return [...merged.values()];
  }

  tied(of: ModuleClass): string[] {
    return this.lineage(of).flatMap(({ tied }) => tied);
  }

  /** Whether modules may be there that the code read here does not show. */
  isOpen(of: ModuleClass): boolean {
    const foreign = (base: string) =>
      !this.byName.has(base) && !PLAIN_BASES.has(base) && !base.endsWith('PreTrainedModel') && !(base in LEAVES);
    return this.lineage(of).some((one) => one.dynamic || one.bases.some(foreign));
  }

  /** Whether the class is itself a kind of Linear, Embedding or the like, with that one's tensors. */
  isLeaf(of: ModuleClass): boolean {
    return this.lineage(of).some(({ bases }) => bases.some((base) => base in LEAVES));
  }

  areRelated(one: ModuleClass, other: ModuleClass): boolean {
    return this.lineage(one).includes(other) || this.lineage(other).includes(one);
  }
}
