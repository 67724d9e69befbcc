#!/usr/bin/python3
"""Answers with its version, from a process that leaves the one that dewy started; @MODE@ is how."""
import json, os, select, signal, socket, subprocess, sys

VERSION, MODE = "@VERSION@", "@MODE@"
HERE = os.path.dirname(os.path.realpath(__file__))
BIND = os.environ.get("APP_BIND")


def report(event):
    with open(os.environ["APP_REPORT"], "a") as file:
        file.write(json.dumps({"event": event, "version": VERSION, "pid": os.getpid()}) + "\n")


def stop(*_):
    report("stopped")
    os._exit(0)


def daemonize():
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)


def serve():
    listener = socket.socket(fileno=3) if BIND is None else socket.create_server(("127.0.0.1", int(BIND)))
    signal.signal(signal.SIGTERM, stop)
    report("started")
    body = VERSION.encode()
    # gunicorn sets O_NONBLOCK, which all processes with the socket share.
    listener.setblocking(False)
    while True:
        select.select([listener], [], [])
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        with connection:
            connection.setblocking(True)
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))


def nginx_command():
    run = f"{HERE}/run.{os.getpid()}"
    os.mkdir(run)
    name = f"127.0.0.1:{BIND}" if BIND else os.environ["SERVER_STARTER_PORT"].rpartition("=")[0]
    temp = "".join(f"{kind}_temp_path {run}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{run}/nginx.conf", "w") as file:
        file.write(f"""
worker_processes 2; pid {run}/pid; error_log stderr warn; user root; events {{}}
http {{ access_log off; {temp} server {{ listen {name}; location / {{ return 200 "{VERSION}"; }} }} }}""")
    return ["/usr/sbin/nginx", "-c", f"{run}/nginx.conf", "-p", run]


if MODE == "daemon":
    daemonize()
elif MODE == "fork" and os.fork():
    os._exit(0)
elif MODE == "worker" and os.fork() == 0:
    os.setsid()
elif MODE == "gunicorn":
    with open(f"{HERE}/answer.py", "w") as file:
        file.write(f"""
def app(environ, start):
    start("200 OK", [("Content-Length", "{len(VERSION)}")])
    return [b"{VERSION}"]
""")
    os.execv("/usr/bin/gunicorn", ["gunicorn", "--daemon", "--workers=2", "--bind=fd://3", f"--chdir={HERE}", "answer:app"])
elif MODE == "nginx":
    command = nginx_command()
    os.execv(command[0], command)
elif MODE == "nginx-behind":
    # The way of an old nginx to pass its sockets on. nginx overwrites its environment, and so the
    # variable by which dewy recognizes it.
    env = dict(os.environ, NGINX="3;")
    subprocess.Popen(nginx_command(), env=env, pass_fds=[3, int(env["DEWY_READY_FD"])], start_new_session=True)
    sys.exit(0)
serve()
