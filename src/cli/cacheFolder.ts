import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Where results are kept between runs: XDG_CACHE_HOME where it is set, else where the system keeps what may be deleted. */
export function cacheFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: NodeJS.Platform = process.platform,
  home = homedir(),
): string {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = environment;
  // The XDG specification: a relative path is to be ignored.
  if (xdg && isAbsolute(xdg)) return join(xdg, 'rankscope');
  if (platform === 'darwin') return join(home, 'Library/Caches/rankscope');
  if (platform === 'win32' && local) return join(local, 'rankscope', 'Cache');
  return join(home, '.cache/rankscope');
}
