import type { InspectorUpdate } from '../../protocol/page.ts';

/** How long changes are collected before they are sent: the eye cannot tell twenty updates a second from a thousand. */
const BATCH_MS = 50;

/** Batches updates: lists are concatenated, other fields overwritten. */
export class Batch {
  private gathered: Mutable<InspectorUpdate> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deliver: (update: InspectorUpdate) => void) {}

  add({ findings, skipped, ...rest }: InspectorUpdate): void {
    this.gathered = Object.assign(this.gathered ?? {}, rest);
    // Appended in place: copying the lists for each of thousands of findings would cost more than everything else.
    if (findings) this.gathered.findings = appended(this.gathered.findings, findings);
    if (skipped) this.gathered.skipped = appended(this.gathered.skipped, skipped);
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const update = this.gathered;
    this.gathered = undefined;
    if (update) this.deliver(update);
  }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] extends readonly (infer Item)[] | undefined ? Item[] : T[Key] };

function appended<Item>(list: Item[] | undefined, more: readonly Item[]): Item[] {
  if (!list) return [...more];
  for (const item of more) list.push(item);
  return list;
}
