"""Imports the heavy libraries once and forks a process for each script that client.py sends.

usage: server.py SOCKET

A third of the time of the tests that compare with Python was spent importing torch and transformers. A forked process has both in
memory; everything else is as in a new one: its own arguments, folder, environment, streams and exit code.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
import types
from contextlib import suppress

PRELOADED = [
    "numpy",
    "torch",
    "safetensors.torch",
    "h5py",
    "gguf",
    "transformers",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.gpt2.modeling_gpt2",
]


def serve(address: str) -> dict:
    """Answers requests until it is ended; returns in a process that was forked for one of them, with the request."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        for name in PRELOADED:
            with suppress(ImportError):
                importlib.import_module(name)
        # Collections in the forked processes would copy all of it.
        gc.freeze()
        # Nobody waits for the processes that wait for the scripts.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            connection, _ = listener.accept()
            if os.fork() > 0:
                connection.close()
                continue
            listener.close()
            return answer(connection)


def answer(connection: socket.socket) -> dict:
    """Reports the exit code of the script; returns in the process that is to run it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    header, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as file:
        request = json.loads(file.read(int.from_bytes(header, "big")))
    child = os.fork()
    if child > 0:
        _, status = os.waitpid(child, 0)
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        os._exit(0)
    connection.close()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    return request


def execute(arguments: list[str], cwd: str, environment: dict[str, str]) -> int:
    """Runs `-c TEXT ...` or `FILE ...` as a new interpreter would; returns the exit code."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    main = types.ModuleType("__main__")
    if arguments[0] == "-c":
        text, name, sys.argv, sys.path[0] = arguments[1], "<string>", ["-c", *arguments[2:]], ""
    else:
        name, sys.argv = arguments[0], arguments
        sys.path[0] = os.path.dirname(os.path.abspath(name))
        main.__file__ = name
        with open(name, encoding="utf-8") as file:
            text = file.read()
    # Pickles of a script's own classes name this module.
    sys.modules["__main__"] = main
    code = 0
    try:
        exec(compile(text, name, "exec"), main.__dict__)
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    # Files that were left open are closed.
    main.__dict__.clear()
    return code


if __name__ == "__main__":
    server = sys.modules["__main__"]
    exit_code = execute(**serve(sys.argv[1]))
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # Taking all the modules apart would take two seconds.
    os._exit(exit_code & 0xFF)
