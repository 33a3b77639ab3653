/** Notifies listeners. Stands in for VS Code's EventEmitter in code that must run without VS Code. */
export class Emitter<T> {
  private readonly listeners = new Set<(value: T) => void>();

  /** Returns a function that ends the subscription. */
  on(listener: (value: T) => void): () => void {
    // A listener added twice is called twice, and each subscription ends by itself.
    const own = (value: T) => listener(value);
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  }

  fire(value: T): void {
    for (const listener of [...this.listeners]) listener(value);
  }
}
