import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createEngine } from "../../../src/container/engine/cli_engine.ts";
import { assertLocalEndpoint } from "../../../src/container/engine/dialect.ts";
import type { ContainerEngine, EngineName } from "../../../src/container/engine/engine.ts";
import { ConfigError, HostError } from "../../../src/core/error.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const signal = new AbortController().signal;

/**
 * An engine whose program is a shell script, for output that a real one does not produce on demand.
 */
async function scripted(
  name: EngineName,
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ engine: ContainerEngine; directory: string }> {
  const directory = await tempDirectory();
  const bin = join(directory, "bin");
  await mkdir(bin);
  await writeFile(join(bin, name), `#!/bin/sh\ncd '${directory}'\n${script}\n`);
  await chmod(join(bin, name), 0o755);
  const options = { cwd: directory, logins: join(directory, "logins") };
  const path = `${bin}:/usr/bin:/bin`;
  return { directory, engine: createEngine(name, { ...options, env: { PATH: path, ...env } }) };
}

const LOCAL = `echo '{"Name":"default","Endpoints":{"docker":{"Host":"unix:///x"}}}'`;

describe("an engine's command line", () => {
  test.each(["docker", "podman"] as const)("names %s if it is not installed", async (name) => {
    const cwd = await tempDirectory();
    const engine = createEngine(name, { env: { PATH: cwd }, cwd, logins: cwd });
    await expect(engine.describe(signal)).rejects.toThrow(
      `Cannot run ${name}: it is not installed, or not in PATH`,
    );
  });

  test("refuses an engine on another machine before any other call", async () => {
    const remote = `echo "$@" >>asked; echo '{"Name":"far","Endpoints":{"docker":{"Host":"ssh://me@10.0.0.7"}}}'`;
    const { engine, directory } = await scripted("docker", remote);
    await expect(engine.describe(signal)).rejects.toThrow(ConfigError);
    await expect(engine.describe(signal)).rejects.toThrow(
      'ssh://10.0.0.7 (the Docker context "far")',
    );
    expect(await readFile(join(directory, "asked"), "utf8")).not.toMatch(/version/);
    const podman = await scripted("podman", "exit 1", { CONTAINER_HOST: "tcp://10.0.0.7:8080" });
    await expect(podman.engine.describe(signal)).rejects.toThrow("tcp://10.0.0.7 (CONTAINER_HOST)");
  });

  test.each([
    "unix:///var/run/docker.sock",
    "",
    "npipe:////./pipe/x",
    "tcp://127.0.0.1:2375",
    "ssh://core@localhost:53000/run/p.sock",
    "tcp://[::1]:2375",
  ])('accepts an engine at "%s"', (endpoint) => {
    expect(() => assertLocalEndpoint(endpoint, "DOCKER_HOST")).not.toThrow();
  });

  test.each([
    "tcp://10.0.0.1:2375",
    "ssh://127.0.0.1.example",
    "https://localhost@far:1",
    "tcp://0.0.0.0:1",
  ])("refuses an engine at %s", (endpoint) => {
    expect(() => assertLocalEndpoint(endpoint, "DOCKER_HOST")).toThrow(ConfigError);
  });

  test("does not pass on the variables of dewy's own sockets and supervisor", async () => {
    const env = { LISTEN_FDS: "1", LISTEN_PID: "1", NOTIFY_SOCKET: "/x", DATABASE: "mine" };
    const { engine, directory } = await scripted("podman", "env >env; exit 1", env);
    await engine.inspect("x", signal).catch(() => {});
    const seen = await readFile(join(directory, "env"), "utf8");
    expect(seen).toMatch("DATABASE=mine");
    expect(seen).not.toMatch(/LISTEN_|NOTIFY_/);
  });

  test("reads output that exceeds a pipe buffer", async () => {
    const log = "x".repeat(200_000);
    const json = JSON.stringify([{ Id: "sha256:1", RepoTags: [log], Config: {} }]);
    const { engine, directory } = await scripted("docker", "cat answer");
    await writeFile(join(directory, "answer"), json);
    expect((await engine.image("x", signal))?.names).toEqual([log]);
  });

  test("pulls with a login in a private file, not in an argument, and removes it", async () => {
    const script = `case $1 in context) ${LOCAL};; *)
      echo "$@" >args; stat -c %a "$2" "$2/config.json" >modes; cat "$2/config.json" >login; esac`;
    const { engine, directory } = await scripted("docker", script);
    await engine.pull({
      image: "r.example/app@sha256:1",
      credential: { kind: "basic", username: "u", password: "secret-password" },
      plainHttp: false,
      signal,
    });
    const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
    expect(await read("args")).toMatch(/^--config \S+ pull --quiet r\.example\/app@sha256:1\n$/);
    expect(await read("modes")).toBe("700\n600\n");
    expect(JSON.parse(await read("login"))).toEqual({
      auths: { "r.example": { auth: btoa("u:secret-password") } },
    });
    expect(await readdir(join(directory, "logins"))).toEqual([]);
    expect((await stat(join(directory, "logins"))).mode & 0o777).toBe(0o700);
  });

  test("pulls through the selected Docker context without its logins", async () => {
    const script = `case $1 in context) echo '{"Name":"mine","Endpoints":{"docker":{"Host":"unix:///x"}}}';; *)
      echo "$DOCKER_CONTEXT" >context; cat "$2/contexts/it" >>context; esac`;
    const home = await tempDirectory();
    await mkdir(join(home, ".docker", "contexts"), { recursive: true });
    await writeFile(join(home, ".docker", "contexts", "it"), "is here");
    const { engine, directory } = await scripted("docker", script, { HOME: home });
    const image = "docker.io/o/app@sha256:1";
    await engine.pull({ image, credential: undefined, plainHttp: false, signal });
    expect(await readFile(join(directory, "context"), "utf8")).toBe("mine\nis here");
  });

  test("writes a Docker Hub login under Docker's key", async () => {
    const script = `case $1 in context) ${LOCAL};; *) cat "$2/config.json" >login; esac`;
    const { engine, directory } = await scripted("docker", script);
    const credential = { kind: "refresh", token: "t" } as const;
    const image = "docker.io/o/app@sha256:1";
    await engine.pull({ image, credential, plainHttp: false, signal });
    const { auths } = JSON.parse(await readFile(join(directory, "login"), "utf8"));
    expect(Object.keys(auths)).toEqual(["https://index.docker.io/v1/"]);
  });

  test("fails if the event stream ends or cannot be parsed", async () => {
    const { engine } = await scripted("docker", "exit 0");
    await expect(engine.watch({}, () => {}, signal)).rejects.toThrow("ended the event stream");
    const broken = await scripted("docker", "echo nonsense; exec sleep 60");
    await expect(broken.engine.watch({}, () => {}, signal)).rejects.toThrow(HostError);
    const refused = await scripted("podman", 'echo "Error: cannot read events" >&2; exit 125');
    await expect(refused.engine.watch({}, () => {}, signal)).rejects.toThrow("cannot read events");
  });

  test.each([
    ["docker", "die", (id: string, action: string) => ({ Action: action, Actor: { ID: id } })],
    ["podman", "died", (id: string, action: string) => ({ Status: action, ID: id })],
  ] as const)(
    "%s reports which containers received a signal before they exited",
    async (name, died, event) => {
      const state = { Status: "exited", ExitCode: 1 };
      const rest = { Image: "i", State: state, Config: {}, NetworkSettings: {} };
      const container = (id: string): object => ({ Id: id, Name: id, ...rest });
      const script = `case $1 in events) cat events; exec sleep 60;; *) cat containers; esac`;
      const { engine, directory } = await scripted(name, script);
      const events = [event("a", "kill"), event("a", died), event("b", died)];
      const lines = events.map((one) => `${JSON.stringify(one)}\n`);
      await writeFile(join(directory, "events"), lines);
      const answer = JSON.stringify([container("a"), container("b")]);
      await writeFile(join(directory, "containers"), answer);
      const stop = new AbortController();
      const ended: string[] = [];
      const watching = engine.watch({}, (id) => ended.push(id), stop.signal);
      await expect.poll(() => ended).toEqual(["a", "b"]);
      const found = await engine.list({}, signal);
      expect(found.map(({ id, wasSignalled }) => [id, wasSignalled])).toEqual([
        ["a", true],
        ["b", false],
      ]);
      stop.abort();
      await watching;
    },
  );

  test("retries with another port if the chosen one was taken", async () => {
    const script = `echo "$1" >>calls; case $1 in
      create) echo 0123;; container) echo '[]';;
      start) [ -e second ] || { touch second; echo "listen tcp4 127.0.0.1:1: bind: address already in use" >&2; exit 1; };; esac`;
    const { engine, directory } = await scripted("docker", script);
    const spec = { name: "a", image: "i", labels: {}, ports: [1], user: undefined, args: [] };
    expect(await engine.start({ ...spec, command: [] }, signal)).toBe("0123");
    const calls = (await readFile(join(directory, "calls"), "utf8")).trim().split("\n");
    expect(calls).toEqual(["create", "start", "container", "create", "start"]);
  });
});
