import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** The folder that keeps results between runs: in XDG_CACHE_HOME if set, else in the system's folder for caches. */
export function cacheFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: NodeJS.Platform = process.platform,
  home = homedir(),
): string {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = environment;
  // The XDG specification says to ignore a relative path.
  if (xdg && isAbsolute(xdg)) return join(xdg, 'rankscope');
  if (platform === 'darwin') return join(home, 'Library/Caches/rankscope');
  if (platform === 'win32' && local) return join(local, 'rankscope', 'Cache');
  return join(home, '.cache/rankscope');
}
