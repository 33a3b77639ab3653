import { type Field, LEAVES, type ModuleClass, type ModuleExpression, PLAIN_BASES } from './moduleCode.ts';

/** What one Python module defines, and what it takes from others. */
export interface ModuleScope {
  readonly classes: readonly ModuleClass[];
  readonly imported: ReadonlyMap<string, ModuleClass>;
}

/** A field together with the class that assigns it, in whose scope its value is to be read. */
export interface OwnedField extends Field {
  readonly owner: ModuleClass;
}

/** The classes of some modules and how each can name the others. */
export class Universe {
  readonly classes: readonly ModuleClass[];
  private readonly used = new Set<ModuleClass>();
  private readonly lineages = new Map<ModuleClass, readonly ModuleClass[]>();
  private readonly allFields = new Map<ModuleClass, readonly OwnedField[]>();
  private readonly scopes = new Map<ModuleClass, ReadonlyMap<string, ModuleClass>>();

  constructor(modules: readonly ModuleScope[]) {
    this.classes = modules.flatMap(({ classes }) => classes);
    for (const { classes, imported } of modules) {
      const names = new Map(imported);
      // Of two classes with one name the later counts, as in Python.
      for (const one of classes) names.set(one.name, one);
      for (const one of classes) this.scopes.set(one, names);
    }
    for (const one of this.classes) for (const { value } of one.fields) this.noteUses(value, one);
  }

  /** The class that `name` means where `from` is defined. */
  find(name: string, from: ModuleClass): ModuleClass | undefined {
    return this.scopes.get(from)?.get(name);
  }

  /** The class with all its bases that are known here, itself first. */
  lineage(of: ModuleClass): readonly ModuleClass[] {
    const known = this.lineages.get(of) ?? this.ancestors(of);
    this.lineages.set(of, known);
    return known;
  }

  /** All fields, inherited ones included; a class's own replace those of its bases. */
  fields(of: ModuleClass): readonly OwnedField[] {
    const known = this.allFields.get(of) ?? this.gatherFields(of);
    this.allFields.set(of, known);
    return known;
  }

  tied(of: ModuleClass): string[] {
    return this.lineage(of).flatMap(({ tied }) => tied);
  }

  /** Whether modules may be there that the code read here does not show. */
  isOpen(of: ModuleClass): boolean {
    const isPlain = (base: string) =>
      PLAIN_BASES.has(base) || /(?:PreTrainedModel|Mixin)$/.test(base) || base in LEAVES;
    return this.lineage(of).some(
      (one) => one.dynamic || one.bases.some((base) => !isPlain(base) && !this.find(base, one)),
    );
  }

  /** Whether the class is itself a kind of Linear, Embedding or the like, with that one's tensors. */
  isLeaf(of: ModuleClass): boolean {
    return this.lineage(of).some((one) => one.bases.some((base) => base in LEAVES && !this.find(base, one)));
  }

  /** Whether another class consists of it, or something else in its file makes use of it. */
  isUsed(of: ModuleClass): boolean {
    return of.mentioned || this.used.has(of);
  }

  areRelated(one: ModuleClass, other: ModuleClass): boolean {
    return this.lineage(one).includes(other) || this.lineage(other).includes(one);
  }

  private ancestors(of: ModuleClass): ModuleClass[] {
    const line: ModuleClass[] = [];
    const visit = (one: ModuleClass) => {
      if (line.includes(one)) return;
      line.push(one);
      for (const base of one.bases) {
        const known = this.find(base, one);
        if (known) visit(known);
      }
    };
    visit(of);
    return line;
  }

  private gatherFields(of: ModuleClass): OwnedField[] {
    const merged = new Map<string, OwnedField>();
    for (const owner of [...this.lineage(of)].reverse()) {
      for (const field of owner.fields) merged.set(field.name, { ...field, owner });
    }
    return [...merged.values()];
  }

  private noteUses(value: ModuleExpression, owner: ModuleClass): void {
    if (value.kind === 'call') {
      const known = this.find(value.callee, owner);
      if (known && known !== owner) this.used.add(known);
    } else if (value.kind === 'list') for (const item of value.items) this.noteUses(item, owner);
    else if (value.kind === 'dict') for (const entry of value.entries) this.noteUses(entry.value, owner);
    else if (value.kind === 'either') for (const option of value.options) this.noteUses(option, owner);
  }
}
