import { homedir } from 'node:os';
import path from 'node:path';

/** Where results are kept between runs: XDG_CACHE_HOME where it is set, else where the system keeps what may be deleted. */
export function cacheFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: NodeJS.Platform = process.platform,
  home = homedir(),
): string {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = environment;
  // The XDG specification: a relative path is to be ignored.
  if (xdg && path.isAbsolute(xdg)) return path.join(xdg, 'rankscope');
  if (platform === 'darwin') return path.join(home, 'Library/Caches/rankscope');
  if (platform === 'win32' && local) return path.join(local, 'rankscope', 'Cache');
  return path.join(home, '.cache/rankscope');
}
