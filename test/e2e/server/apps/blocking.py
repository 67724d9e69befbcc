#!/usr/bin/python3
"""One thread that blocks in accept(): the simplest kind of app. Supports SERVER_STARTER_PORT only."""
import json, os, re, signal, socket, sys, time

VERSION = "@VERSION@"
# The last descriptor is enough: one thread cannot block on two.
FD = int(os.environ["SERVER_STARTER_PORT"].rpartition("=")[2])
listener = socket.socket(fileno=FD)
null = os.open(os.devnull, os.O_RDONLY)
accepted = answered = 0


def stop(*_):
    # An exception here could lose a connection that accept() has just returned: make the next
    # accept() fail instead.
    os.dup2(null, FD)


signal.signal(signal.SIGTERM, stop)
# A signal that comes just before accept() blocks would wait for the next connection.
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)


def report(event):
    line = {"event": event, "version": VERSION, "pid": os.getpid(), "accepted": accepted, "answered": answered}
    if path := os.environ.get("APP_REPORT"):
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def answer(connection):
    request = b""
    while b"\r\n\r\n" not in request:
        chunk = connection.recv(4096)
        if not chunk:
            return False
        request += chunk
    if slow := re.match(rb"GET /slow\?ms=(\d+)", request):
        end = time.monotonic() + int(slow[1]) / 1000
        while (left := end - time.monotonic()) > 0:
            time.sleep(left)
    body = VERSION.encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    return True


report("started")
while True:
    try:
        connection, _ = listener.accept()
    except OSError as error:
        if os.fstat(FD).st_rdev == os.fstat(null).st_rdev:
            break
        print(f"accept: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    accepted += 1
    with connection:
        answered += answer(connection)
# Python takes its handlers away before it ends.
signal.setitimer(signal.ITIMER_REAL, 0)
report("stopped")
