"""Listens on a port and runs a program with the socket as descriptor 3 (LISTEN_FDS). Restarts the program when it
exits, as systemd does, and prints the PID of each process. SIGTERM stops the program for good.

    python3 hold_socket.py <port> <program> [argument...]
"""

import os
import signal
import socket
import sys

listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.bind(("::", int(sys.argv[1])))
listener.listen(1024)
ending = False
child = 0


def end(*_):
    global ending
    ending = True
    if child:
        os.kill(child, signal.SIGTERM)


signal.signal(signal.SIGTERM, end)
while not ending:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execvp(sys.argv[2], sys.argv[2:])
    print(child, flush=True)
    status = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) & 255)
