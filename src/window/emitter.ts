/** Tells listeners of a change. The pure models use this in place of VS Code's own, which exists only inside VS Code. */
export class Emitter<T> {
  private readonly listeners = new Set<(value: T) => void>();

  /** Gives the function that ends the subscription. */
  on(listener: (value: T) => void): () => void {
    // A listener that is added twice is told twice, and each is removed by itself.
    const own = (value: T) => listener(value);
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  }

  fire(value: T): void {
    for (const listener of [...this.listeners]) listener(value);
  }
}
