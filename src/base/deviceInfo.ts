/** Which device should compute, and with how many threads. */
export interface DeviceRequest {
  /**
   * `auto` (the default) takes the fastest device found. A device given by name is used, or refused with what it needs.
   */
  readonly engine?: string | undefined;
  /** Default: one per core. */
  readonly threads?: number | undefined;
}

/** The device in use, and why it was chosen. */
export interface DeviceInfo {
  /** `cpu`, `wasm`, `webgpu`, `tensorflow` or `reference`. */
  readonly name: string;
  /** The processor or GPU as its driver calls it. */
  readonly device: string;
  readonly threads: number;
  /** One sentence. */
  readonly reason: string;
}
