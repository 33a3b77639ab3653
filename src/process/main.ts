/**
 * The engine process: the service behind an IPC channel. Forked by the editor with `serialization: 'advanced'` and
 *
 *     --cache FOLDER [--cache-bytes N] | --no-cache
 *     [--trusted [--crashed] [--blas FILE] [--python FILE] [--open FOLDER]...]
 *
 * (`--no-cache` if nothing may be written). It exits when its parent disconnects: finished results are in the cache.
 * Without `--trusted`, or after a crash, it looks for no BLAS; else only outside of the open folders, for the library
 * that the user named and for those of the interpreter that the user chose first.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { serve } from '../protocol/channel.ts';
import { processPort } from '../protocol/processPort.ts';
import { editorPolicy } from '../service/devices/blasPolicy.ts';
import { createService } from '../service/service.ts';

const log = (line: string) => void process.stderr.write(`${line}\n`);
const stackOf = (fault: unknown) => (fault instanceof Error ? (fault.stack ?? fault.message) : String(fault));

process.on('uncaughtException', (fault) => {
  log(`Uncaught: ${stackOf(fault)}`);
  process.exit(1);
});
process.on('unhandledRejection', (fault) => {
  log(`Unhandled: ${stackOf(fault)}`);
  process.exit(1);
});
// Nobody reads the log any more, which must not end the process.
process.stderr.on('error', () => undefined);

const { values } = parseArgs({
  options: {
    cache: { type: 'string' },
    'cache-bytes': { type: 'string' },
    'no-cache': { type: 'boolean' },
    trusted: { type: 'boolean' },
    crashed: { type: 'boolean' },
    blas: { type: 'string' },
    python: { type: 'string' },
    open: { type: 'string', multiple: true },
  },
});
if (!(values.cache || values['no-cache']) || !process.send) {
  log('This is the engine process of Rankscope; the editor starts it with --cache FOLDER and an IPC channel');
  process.exit(2);
}

const denial = () => {
  if (!values.trusted) return 'the workspace is not trusted';
  return values.crashed ? 'the last engine process crashed' : undefined;
};
const bytes = Number(values['cache-bytes']);
const cacheFolder = values['no-cache'] ? undefined : values.cache;
const service = createService({
  cacheFolder,
  blas: editorPolicy({
    denied: denial(),
    setting: values.blas,
    interpreter: values.python,
    openFolders: values.open ?? [],
    cacheFolder,
  }),
  ...(bytes > 0 ? { cacheBytes: bytes } : {}),
  log,
});
const channel = serve(processPort(process), service, (fault) => log(`Fault: ${stackOf(fault)}`));

// Time for cancelled writes to remove their temporary files; nobody waits for anything else.
const FAREWELL_MS = 2000;
process.on('disconnect', () => {
  setTimeout(() => process.exit(0), FAREWELL_MS).unref();
  void channel.close().finally(() => process.exit(0));
});
