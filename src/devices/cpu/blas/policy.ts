/** Which native libraries may be searched and loaded. Without a policy, none is. */
export interface BlasPolicy {
  /** Why nothing may be searched or loaded, if so. */
  readonly denied?: string | undefined;
  /** The library that the user named, instead of what a search would find first. */
  readonly named?: NamedBlas | undefined;
  /** The Python interpreter that the user has chosen. */
  readonly interpreter?: string | undefined;
  /** Nothing that lies in one of these, or is reached through it, is loaded or asked. */
  readonly openFolders: readonly string[];
  /** Where outcomes are remembered. */
  readonly cacheFolder?: string | undefined;
}

export interface NamedBlas {
  /** An absolute path, or `none`. */
  readonly path: string;
  /** For example "the setting rankscope.blas". */
  readonly by: string;
  /** Named by the user for this run, so that it may lie anywhere. */
  readonly anywhere?: boolean;
}

/** Words that stand for no library. */
export const isNone = (path: string): boolean => path === 'none' || path === 'off';
