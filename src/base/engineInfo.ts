/** Which engine should compute, and with how many threads. */
export interface EngineRequest {
  /** `auto` (the default) probes the devices and takes the fastest; a device named here is used or refused, with what it needs. */
  readonly engine?: string | undefined;
  /** One for each core unless given. */
  readonly threads?: number | undefined;
}

/** The engine in use, and in one sentence why it was chosen. */
export interface EngineInfo {
  /** `cpu`, `webgpu`, `tensorflow` or `reference`. */
  readonly name: string;
  readonly device: string;
  readonly threads: number;
  readonly reason: string;
}
