import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { isRunning } from "../../../src/host/process/processes.ts";
import { type Runtime, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { ask, eventually, freePort, kill, load, startCase } from "./case_process.ts";

const PYTHON = "/usr/bin/python3";

/** Answers with its pid on every socket, with blocking accept() calls. */
const BLOCKING_APP: readonly [string, ...string[]] = [
  PYTHON,
  "-c",
  `import os, socket, threading
def serve(fd):
    listener = socket.socket(fileno=fd)
    while True:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.sendall(str(os.getpid()).encode())
        connection.close()
count = int(os.environ["LISTEN_FDS"])
assert os.environ["LISTEN_PID"] == str(os.getpid())
for entry in os.environ["SERVER_STARTER_PORT"].split(";"):
    threading.Thread(target=serve, args=(int(entry.rsplit("=", 1)[1]),)).start()
os.write(int(os.environ["DEWY_READY_FD"]), b"READY=1")
`,
];

/** Answers with its pid on descriptor 3. On SIGTERM it finishes the connections it accepted. */
const NODE_APP: readonly [string, ...string[]] = [
  process.execPath,
  "-e",
  `const server = require("net").createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(String(process.pid)));
  });
  process.on("SIGTERM", () => server.close(() => process.exit(0)));
  server.listen({ fd: 3 }, () => require("fs").writeSync(Number(process.env.DEWY_READY_FD), "x"));`,
];

/** Opens sockets like systemd, then becomes the program. */
function activated(port: number, variables: string): readonly string[] {
  const script = `import os, socket, sys
s = socket.create_server(("127.0.0.1", ${port}))
fd = os.dup(s.fileno()) if s.fileno() == 3 else s.fileno()
os.dup2(fd, 3, inheritable=True)
os.environ.update(${variables})
os.execvp(sys.argv[1], sys.argv[1:])`;
  return [PYTHON, "-c", script];
}

const LISTEN_FDS = 'LISTEN_FDS="1", LISTEN_PID=str(os.getpid())';

describe.each(runtimes)("holdSockets on $name", (runtime) => {
  it("passes IPv4, IPv6 and unix sockets to an app that blocks in accept()", async () => {
    const [first, second, third] = [await freePort(), await freePort(), await freePort()];
    const path = join(await tempDirectory(), "app.sock");
    const ports = [String(first), `127.0.0.1:${second}`, `[::1]:${third}`, `unix:${path}`];
    const dewy = await startCase(runtime, { ports, app: BLOCKING_APP });
    const { generationPid } = await dewy.until(({ ready }) => ready === 1);
    const pid = String(generationPid);
    expect(await ask({ host: "127.0.0.1", port: first })).toBe(pid);
    expect(await ask({ host: "::1", port: first })).toBe(pid);
    expect(await ask({ host: "127.0.0.1", port: second })).toBe(pid);
    expect(await ask({ host: "::1", port: third })).toBe(pid);
    expect(await ask({ path })).toBe(pid);
    dewy.child.kill("SIGTERM");
    expect(await dewy.exited).toBe(0);
    expect(await readdir(join(path, ".."))).toEqual([]);
  });

  it("switches generations under load without a failed connection", async () => {
    const port = await freePort();
    const dewy = await startCase(runtime, { ports: [String(port)], app: NODE_APP });
    await dewy.until(({ ready }) => ready === 1);
    const traffic = load(port);
    for (const generation of [2, 3, 4]) {
      dewy.child.kill("SIGUSR1");
      const { generationPid } = await dewy.until(({ ready }) => ready === generation);
      await eventually(() => traffic.answers.at(-1) === String(generationPid));
    }
    const { asked, failures } = await traffic.stop();
    expect(failures).toEqual([]);
    expect(asked).toBeGreaterThan(3);
    expect(new Set(traffic.answers).size).toBe(4);
  });

  it("restarts after SIGKILL with the same sockets, and no connection is refused", async () => {
    const port = await freePort();
    const dewy = await startCase(runtime, { ports: [String(port)], app: NODE_APP });
    const { generationPid } = await dewy.until(({ ready }) => ready === 1);
    const { pid = 0 } = await dewy.until(({ held }) => held !== undefined);
    kill(generationPid ?? 0, "SIGKILL");
    await dewy.until(({ exit }) => exit !== undefined);
    kill(pid, "SIGKILL");
    // Nothing accepts now; the connection waits in the socket.
    const answer = ask({ host: "127.0.0.1", port });
    const second = await dewy.until(({ pid: again }) => again !== undefined && again !== pid);
    expect(second.held).toEqual([{ name: String(port), fd: 3, inherited: false }]);
    expect(await answer).toMatch(/^\d+$/);
    expect(dewy.said).toContainEqual({
      event: expect.objectContaining({
        type: "warning",
        message: expect.stringContaining("killed"),
      }),
    });
    dewy.child.kill("SIGTERM");
    expect(await dewy.exited).toBe(0);
  });

  it("takes over the sockets of a killed launcher while the app keeps serving", async () => {
    const port = await freePort();
    const wanted = { ports: [String(port)], app: NODE_APP };
    const first = await startCase(runtime, wanted);
    const { generationPid: orphan = 0 } = await first.until(({ ready }) => ready === 1);
    first.child.kill("SIGKILL");
    await first.exited;
    const traffic = load(port);
    const second = await startCase(runtime, wanted);
    const { generationPid } = await second.until(({ ready }) => ready === 1);
    kill(orphan, "SIGTERM");
    await eventually(() => traffic.answers.at(-1) === String(generationPid));
    expect((await traffic.stop()).failures).toEqual([]);
    const { pid = 0 } = await first.until(({ held }) => held !== undefined);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    second.child.kill("SIGTERM");
    expect(await second.exited).toBe(0);
  });

  it("exits when its holder is killed, and leaves the app running", async () => {
    const port = await freePort();
    const dewy = await startCase(runtime, { ports: [String(port)], app: NODE_APP });
    const { generationPid } = await dewy.until(({ ready }) => ready === 1);
    const { pid = 0, parent = 0 } = await dewy.until((said) => said.pid !== undefined);
    kill(parent, "SIGKILL");
    expect(await dewy.exited).toBe(137);
    await eventually(() => !isRunning(pid, undefined));
    expect(await ask({ host: "127.0.0.1", port })).toBe(String(generationPid));
  });

  it("exits with the exit code of dewy", async () => {
    const dewy = await startCase(runtime, { ports: [String(await freePort())], exit: 4 });
    expect(await dewy.exited).toBe(4);
  });

  it("takes sockets of systemd without a launcher", async () => {
    const port = await freePort();
    const wanted = { ports: [], app: BLOCKING_APP };
    const dewy = await startCase(runtime, wanted, activated(port, LISTEN_FDS));
    expect(await dewy.until(({ held }) => held !== undefined)).toMatchObject({
      held: [{ name: `127.0.0.1:${port}`, fd: 3, inherited: true }],
      pid: dewy.child.pid,
    });
    const { generationPid } = await dewy.until(({ ready }) => ready === 1);
    expect(await ask({ host: "127.0.0.1", port })).toBe(String(generationPid));
  });

  it("matches sockets of a server-starter with --port by their address", async () => {
    const port = await freePort();
    const ports = [`127.0.0.1:${port}`];
    const launcher = activated(port, 'SERVER_STARTER_PORT="whatever=3"');
    const dewy = await startCase(runtime, { ports, app: BLOCKING_APP }, launcher);
    const { held } = await dewy.until((said) => said.held !== undefined);
    expect(held).toEqual([{ name: `127.0.0.1:${port}`, fd: 3, inherited: true }]);
    const { generationPid } = await dewy.until(({ ready }) => ready === 1);
    expect(await ask({ host: "127.0.0.1", port })).toBe(String(generationPid));
  });

  it("opens missing sockets in addition to inherited ones", async () => {
    const [inherited, missing] = [await freePort(), await freePort()];
    const ports = [`127.0.0.1:${inherited}`, String(missing)];
    const launcher = activated(inherited, LISTEN_FDS);
    const dewy = await startCase(runtime, { ports, app: BLOCKING_APP }, launcher);
    const { generationPid } = await dewy.until(({ ready }) => ready === 1);
    for (const port of [inherited, missing]) {
      expect(await ask({ host: "127.0.0.1", port })).toBe(String(generationPid));
    }
  });

  it("passes the sockets to generations only", async () => {
    const hook = ["/bin/ls", "-l", "/proc/self/fd"] as const;
    const dewy = await startCase(runtime, { ports: [String(await freePort())], hook });
    const { held } = await dewy.until((said) => said.held !== undefined);
    const said = await dewy.until((line) => line.hook !== undefined);
    const { pid = 0 } = await dewy.until((line) => line.pid !== undefined);
    const socket = /socket:\[\d+\]/.exec(await descriptor(pid, held?.[0]?.fd ?? 0))?.[0] ?? "none";
    expect(said.hook).not.toContain(socket);
  });

  it("does not touch O_NONBLOCK while a generation relies on it", async () => {
    const port = await freePort();
    const script = `import os, socket, time
s = socket.socket(fileno=3)
if os.environ["SERVER_STARTER_GENERATION"] == "1": s.setblocking(False)
os.write(int(os.environ["DEWY_READY_FD"]), b"x")
time.sleep(60)`;
    const dewy = await startCase(runtime, {
      ports: [String(port)],
      app: [PYTHON, "-c", script],
      hook: ["/bin/true"],
    });
    await dewy.until(({ ready }) => ready === 1);
    const { pid = 0 } = await dewy.until((said) => said.pid !== undefined);
    dewy.child.kill("SIGUSR1");
    await dewy.until(({ ready }) => ready === 2);
    const flags = /flags:\s*(\d+)/.exec(await readFile(`/proc/${pid}/fdinfo/3`, "utf8"))?.[1];
    expect(Number.parseInt(flags ?? "0", 8) & 0o4000).toBe(0o4000);
  });

  it("replaces the unix socket of a dead server, and refuses that of a live one", async () => {
    const path = join(await tempDirectory(), "app.sock");
    const first = await startCase(runtime, { ports: [`unix:${path}`], app: NODE_APP });
    const { generationPid } = await first.until(({ ready }) => ready === 1);
    const refused = await startCase(runtime, { ports: [`unix:${path}`], root: "/other" });
    expect(await refused.exited).toBe(3);
    expect(refused.said[0]?.error).toContain("listens there already");
    const { pid = 0, parent = 0 } = await first.until((said) => said.pid !== undefined);
    for (const each of [parent, pid, generationPid ?? 0]) kill(each, "SIGKILL");
    await first.exited;
    await eventually(() => !isRunning(generationPid ?? 0, undefined));
    const second = await startCase(runtime, { ports: [`unix:${path}`], app: NODE_APP });
    const { generationPid: next } = await second.until(({ ready }) => ready === 1);
    expect(await ask({ path })).toBe(String(next));
  });
});

/** What is refused before any socket is passed on does not depend on the runtime. */
describe("holdSockets", () => {
  const [runtime] = runtimes as [Runtime, ...Runtime[]];

  it("refuses an inherited socket that --port does not name", async () => {
    const [port, other] = [await freePort(), await freePort()];
    const dewy = await startCase(runtime, { ports: [String(other)] }, activated(port, LISTEN_FDS));
    expect(await dewy.exited).toBe(3);
    expect(dewy.said[0]?.error).toContain(`the inherited socket 127.0.0.1:${port}`);
  });

  it("names the process that has the port", async () => {
    const port = await freePort();
    const server = createServer().listen(port);
    onTestFinished(() => void server.close());
    const dewy = await startCase(runtime, { ports: [String(port)] });
    expect(await dewy.exited).toBe(3);
    expect(dewy.said[0]?.error).toContain(`Cannot listen on ${port}: process ${process.pid} (`);
  });

  it("leaves a file alone that is not a socket", async () => {
    const path = join(await tempDirectory(), "app.sock");
    await writeFile(path, "mine");
    const dewy = await startCase(runtime, { ports: [`unix:${path}`] });
    expect(await dewy.exited).toBe(3);
    expect(await readFile(path, "utf8")).toBe("mine");
  });
});

async function descriptor(pid: number, fd: number): Promise<string> {
  const { readlink } = await import("node:fs/promises");
  return readlink(`/proc/${pid}/fd/${fd}`);
}
