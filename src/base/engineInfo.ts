/** The engine in use, and in one sentence why it was chosen. */
export interface EngineInfo {
  /** `cpu`, `webgpu`, `tensorflow` or `reference`. */
  readonly name: string;
  readonly device: string;
  readonly threads: number;
  readonly reason: string;
}
