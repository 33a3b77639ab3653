"""Has server.py run a script, or runs it itself where no server answers.

usage: client.py PYTHON SOCKET (-c TEXT | FILE) ARGUMENT...
"""

import json
import os
import socket
import sys

python, address, *arguments = sys.argv[1:]


def run_here() -> None:
    os.execv(python, [python, *arguments])


# Other ways to start an interpreter are not worth imitating.
if not arguments or (arguments[0] != "-c" and arguments[0].startswith("-")):
    run_here()
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(address)
except OSError:
    run_here()
request = json.dumps({"arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ)}).encode()
socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
connection.sendall(request)
answer = connection.recv(4)
code = int.from_bytes(answer, "big", signed=True) if len(answer) == 4 else 1
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
