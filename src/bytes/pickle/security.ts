import type { Seen } from './state.ts';

/** Something suspicious in a file that can execute code when Python loads it (a pickle). */
export interface SecurityFinding {
  readonly grade: 'dangerous' | 'suspicious' | 'unknown';
  /** The global's full name, e.g. `posix.system`. */
  readonly subject: string;
  readonly explanation: string;
}

/**
 * What loading a pickle with Python would import, beyond what checkpoints need. Rankscope itself never imports or calls
 * any of it. Dangerous: known to run programs or code, to reach the network or to change files. Suspicious: a way to
 * reach such a thing. Unknown: everything else that is not on the list of `isHarmless`.
 */
export function findingsOf({ globals, changed }: Pick<Seen, 'globals' | 'changed'>): SecurityFinding[] {
  const findings: SecurityFinding[] = [];
  for (const { module, name } of globals.values()) {
    const subject = `${module}.${name}`;
    if (isHarmless(subject)) continue;
    findings.push({ subject, ...grade(module, name) });
  }
  for (const { module, name } of changed.values())
    findings.push({
      grade: 'suspicious',
      subject: `attributes of ${module}.${name}`,
      explanation: 'Loading this file with Python changes them, which can put one function in place of another.',
    });
  const order = ['dangerous', 'suspicious', 'unknown'];
  return findings.sort((a, b) => order.indexOf(a.grade) - order.indexOf(b.grade) || (a.subject < b.subject ? -1 : 1));
}

/** What users are warned of, a sentence or two each: the worst finding, and pickles that were not scanned. */
export function warningsOf(seen: Seen): string[] {
  const worst = findingsOf(seen).find((finding) => finding.grade !== 'unknown');
  return [
    ...(worst ? [`Beware: it names ${worst.subject}. ${worst.explanation}`] : []),
    ...(seen.hasUnscanned
      ? ['More pickles follow than are scanned for dangerous names: do not load this file with Python.']
      : []),
  ];
}

/** The remedy of an error about a file, with what users are warned of. */
export function withWarnings(remedy: string, seen: Seen): string {
  return [remedy, warningsOf(seen).join(' ')].filter(Boolean).join('. ');
}

function grade(module: string, name: string): Omit<SecurityFinding, 'subject'> {
  // A dotted name may reach one module through another, such as `os.system` in torch.serialization.
  const parts = name.split('.');
  const reached = parts.slice(0, -1).map((_, from) => parts.slice(from));
  for (const path of [[...module.split('.'), ...parts], ...reached]) {
    const danger = dangerIn(path);
    if (danger) return { grade: danger.grade, explanation: `Loading this file with Python ${danger.would}.` };
  }
  return {
    grade: 'unknown',
    explanation: 'Loading this file with Python would import this name; whether it is harmless is not known.',
  };
}

/** The first entry of DANGERS that lists the name or one of the modules on its path. */
function dangerIn(path: readonly string[]): Danger | undefined {
  let first = Number.POSITIVE_INFINITY;
  let prefix = '';
  for (const part of path) {
    prefix = prefix === '' ? part : `${prefix}.${part}`;
    first = Math.min(first, PLACE_OF.get(prefix) ?? first);
  }
  return DANGERS[first];
}

interface Danger {
  readonly grade: 'dangerous' | 'suspicious';
  readonly would: string;
  readonly names: readonly string[];
}

const words = (text: string) => text.trim().split(/\s+/);
const builtins = (text: string) => words(text).flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]);

/** The first match counts. A module stands for everything in it. */
const DANGERS: readonly Danger[] = [
  {
    grade: 'dangerous',
    would: 'can run any program on this machine',
    names: words(`os posix nt subprocess _posixsubprocess pty commands popen2 platform.popen _winapi ctypes _ctypes cffi
      multiprocessing concurrent.futures webbrowser antigravity pip ensurepip venv setuptools distutils
      numpy.distutils torch.utils.cpp_extension torch.utils.collect_env uuid._get_command_stdout
      _osx_support _aix_support imaplib.IMAP4_stream pydoc _pyrepl mailcap crypt sh plumbum fabric invoke`),
  },
  {
    grade: 'dangerous',
    would: 'can run any Python code',
    names: [
      ...builtins('eval exec execfile compile __import__ apply breakpoint input'),
      ...words(`runpy code codeop pdb bdb timeit cProfile profile trace doctest lib2to3 idlelib test imp importlib zipimport
        pkgutil types.CodeType types.FunctionType marshal sys.settrace sys.setprofile numpy.testing numpy.f2py
        numpy.core._internal torch.jit.unsupported_tensor_ops torch.fx.experimental torch.fx.graph_module torch.fx._symbolic_trace
        torch._dynamo torch._inductor torch.utils._config_module torch.utils.data.datapipes torch.distributed.rpc
        torch.utils.bottleneck torch.hub asyncio threading _thread sched atexit signal site cgitb
        logging.config jinja2 sympy.sympify pandas.eval pandas.core.computation IPython`),
    ],
  },
  {
    grade: 'dangerous',
    would: 'unpickles another object, which can run any code',
    names: words(`pickle _pickle cPickle cloudpickle dill jsonpickle joblib shelve pandas.read_pickle pandas.io.pickle
      numpy.load numpy.lib.npyio torch.load torch.serialization.load torch.jit.load torch.package yaml`),
  },
  {
    grade: 'dangerous',
    would: 'can write, move or delete files',
    names: [
      ...builtins('open file'),
      ...words(`shutil tempfile pathlib io.open io.FileIO _io codecs.open fileinput zipfile tarfile tokenize.open
        linecache sqlite3 dbm numpy.memmap numpy.fromfile numpy.save numpy.savetxt torch.save torch.storage.UntypedStorage.from_file`),
    ],
  },
  {
    grade: 'dangerous',
    would: 'can send data over the network',
    names:
      words(`socket _socket ssl http httplib httpx urllib urllib2 urllib3 requests aiohttp ftplib smtplib poplib imaplib
      nntplib telnetlib xmlrpc socketserver paramiko websocket websockets boto3`),
  },
  {
    grade: 'suspicious',
    would: 'reaches attributes by name, a usual step to running code',
    names: [
      ...builtins(
        'getattr setattr delattr hasattr globals locals vars dir type map filter reduce super property memoryview',
      ),
      ...words(
        'operator functools itertools.starmap inspect gc sys types weakref copyreg.__newobj__ copy_reg.__newobj__ code',
      ),
    ],
  },
  {
    grade: 'suspicious',
    would: 'reads another torch file inside this one',
    names: ['torch.storage._load_from_bytes'],
  },
  {
    grade: 'suspicious',
    would: 'uses a registered extension, whose code this file does not name',
    names: ['copyreg extension'],
  },
];

/** The index in DANGERS of each listed name. */
const PLACE_OF = new Map(DANGERS.flatMap(({ names }, place) => names.map((name) => [name, place] as const)).reverse());

const HARMLESS: ReadonlySet<string> = new Set([
  ...words(`collections.OrderedDict collections.defaultdict collections.Counter collections.deque
    torch.Size torch.device torch.dtype torch.Tensor torch.nn.parameter.Parameter torch.nn.parameter.Buffer
    torch.serialization._get_layout torch.tensor torch.per_tensor_affine torch.per_channel_affine torch.strided
    torch.storage.UntypedStorage torch.storage.TypedStorage torch.storage._LegacyStorage torch._tensor._rebuild_from_type_v2
    numpy.ndarray numpy.dtype _codecs.encode argparse.Namespace
    numpy.core.multiarray._reconstruct numpy.core.multiarray.scalar numpy.core.numeric._frombuffer
    numpy._core.multiarray._reconstruct numpy._core.multiarray.scalar numpy._core.numeric._frombuffer
    copyreg._reconstructor copy_reg._reconstructor datetime.datetime datetime.date datetime.timedelta
    pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath pathlib.Path pathlib._local.PosixPath`),
  ...builtins('set frozenset list dict tuple int float bool str bytes bytearray complex slice range object'),
]);

function isHarmless(subject: string): boolean {
  return (
    HARMLESS.has(subject) ||
    /^torch\.(cuda\.)?[A-Z][A-Za-z0-9]*Storage$/.test(subject) ||
    /^torch\.(cuda\.|sparse\.)?[A-Z][a-z]+Tensor$/.test(subject) ||
    /^torch\.(u?int|q?u?int|float|bfloat|complex|bool|half|double|long|short|uint)[0-9a-z_]*$/.test(subject) ||
    /^torch\._utils\._rebuild_(q|xla_|sparse_|sparse_csr_|nested_)?tensor(_v2|_v3)?$/.test(subject) ||
    /^torch\._utils\._rebuild_(meta_tensor_no_storage|wrapper_subclass|device_tensor_from_(numpy|cpu_tensor))$/.test(
      subject,
    ) ||
    /^torch\._utils\._rebuild_parameter(_with_state)?$/.test(subject) ||
    /^numpy\.(u?int|float|complex|bool)[0-9_]*$/.test(subject) ||
    // Names inside a TorchScript archive. Python has no such module.
    /^__torch__\./.test(subject) ||
    /^torch\.jit\._pickle\.(build_(int|tensor|double|bool)list|build_tensor_from_id|restore_type_tag)$/.test(subject)
  );
}
