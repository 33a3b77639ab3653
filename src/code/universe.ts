import { type Field, LEAVES, type ModuleClass, type ModuleExpression, PLAIN_BASES } from './moduleCode.ts';

/** The classes that a Python module defines and imports. */
export interface ModuleScope {
  readonly classes: readonly ModuleClass[];
  readonly imported: ReadonlyMap<string, ModuleClass>;
}

/** A field with the class that assigns it, in whose scope its value is evaluated. */
export interface OwnedField extends Field {
  readonly owner: ModuleClass;
}

/** The classes of several Python modules, and the names under which they can refer to each other. */
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
      // The later of two classes with the same name wins, as in Python.
      for (const one of classes) names.set(one.name, one);
      for (const one of classes) this.scopes.set(one, names);
    }
    for (const one of this.classes) for (const { value } of one.fields) this.noteUses(value, one);
  }

  /** The class that `name` refers to in the module of `from`. */
  find(name: string, from: ModuleClass): ModuleClass | undefined {
    return this.scopes.get(from)?.get(name);
  }

  /** The class itself, followed by all its known bases. */
  lineage(of: ModuleClass): readonly ModuleClass[] {
    const known = this.lineages.get(of) ?? this.ancestors(of);
    this.lineages.set(of, known);
    return known;
  }

  /** All fields, including inherited ones that are not overridden. */
  fields(of: ModuleClass): readonly OwnedField[] {
    const known = this.allFields.get(of) ?? this.gatherFields(of);
    this.allFields.set(of, known);
    return known;
  }

  tied(of: ModuleClass): string[] {
    return this.lineage(of).flatMap(({ tied }) => tied);
  }

  /** Whether the class may have modules that the known code does not show. */
  isOpen(of: ModuleClass): boolean {
    const isPlain = (base: string) =>
      PLAIN_BASES.has(base) || /(?:PreTrainedModel|Mixin)$/.test(base) || base in LEAVES;
    return this.lineage(of).some(
      (one) => one.dynamic || one.bases.some((base) => !isPlain(base) && !this.find(base, one)),
    );
  }

  /** Whether the class inherits from Linear, Embedding or the like, and has its tensors. */
  isLeaf(of: ModuleClass): boolean {
    return this.lineage(of).some((one) => one.bases.some((base) => base in LEAVES && !this.find(base, one)));
  }

  /** Whether another class contains it, or something else in its file uses it. */
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
