type Child = Node | string | null;

interface Properties {
  readonly class?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly on?: Readonly<Record<string, (event: Event) => void>>;
}

/** Creates an element. Text is never parsed as HTML: names from a file may contain markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (properties.class) made.className = properties.class;
  if (properties.text !== undefined) made.textContent = properties.text;
  for (const [name, value] of Object.entries(properties.attributes ?? {})) made.setAttribute(name, value);
  for (const [name, listener] of Object.entries(properties.on ?? {})) made.addEventListener(name, listener);
  for (const child of children) if (child !== null) made.append(child);
  return made;
}

/** Replaces the children of `parent`. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren(...children.filter((child) => child !== null));
}

/** Sets the text only if it differs, so that live regions do not announce unchanged text. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Returns a function that calls `work` at most once per animation frame. */
export function perFrame(work: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

/**
 * Returns a function that calls `work` with the latest value, at most once per `milliseconds`; the last value is never
 * lost.
 */
export function throttled<Value>(milliseconds: number, work: (value: Value) => void): (value: Value) => void {
  let waiting: { value: Value } | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const flush = () => {
    timer = null;
    if (!waiting) return;
    const { value } = waiting;
    waiting = null;
    work(value);
    timer = setTimeout(flush, milliseconds);
  };
  return (value) => {
    waiting = { value };
    if (timer === null) flush();
  };
}
