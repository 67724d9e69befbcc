import { describe, expect, test } from "vitest";
import { ConfigError } from "../../mod.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import type { ContainerConfig } from "../../src/container/config.ts";
import { readConfig } from "../support/read_config.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";
import vectors from "../vectors/cli-container.json" with { type: "json" };
import { formatPortMapping } from "./options/format_port_mapping.ts";

function read(argv: readonly string[]): ContainerConfig {
  const parsed = parseArgv(argv);
  return readConfig(parsed.command ?? "check", parsed) as ContainerConfig;
}

function container(...argv: string[]): ContainerConfig {
  return read(["container", "--registry", "img://ghcr.io/o/app", ...argv]);
}

function ports(...argv: string[]): string[] {
  return container(...argv).mappings.map(formatPortMapping);
}

describe("readConfig of container: the recorded command lines", () => {
  testVectors(
    "cli-container",
    ({ in: { argv } }) => {
      try {
        return asRecorded(read(argv as string[]));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return REFUSED;
      }
    },
    ["run"],
  );
  const refused = vectors.filter(({ op, errorText }) => op === "run" && errorText !== undefined);
  test.each(refused)("$name: $errorText", ({ in: { argv = [] }, errorText = "" }) => {
    expect(() => read(argv)).toThrow(errorText);
  });
  function asRecorded(config: ContainerConfig): Record<string, unknown> {
    const listOrNull = (list: readonly string[]): readonly string[] | null =>
      list.length === 0 ? null : list;
    return {
      adminPort: config.admin?.port === 17_539 ? 0 : config.admin?.port,
      command: listOrNull(config.cmd),
      drainTimeSeconds: config.drainTimeMs / 1000,
      extraArgs: listOrNull(config.args),
      healthPath: config.healthPath ?? "",
      healthTimeoutSeconds: config.healthTimeoutMs / 1000,
      name: config.app,
      portMappings: config.mappings.map(({ listen, containerPort }) => ({
        proxy: listen.kind === "tcp" ? listen.port : 0,
        container: containerPort ?? 0,
      })),
      proxyIdleTimeoutSeconds: config.proxyIdleTimeoutMs / 1000,
      replicas: config.replicas === 1 ? 0 : config.replicas,
      runtime: config.engine,
    };
  }
});

describe("readConfig of container: every line of the document", () => {
  const lines: [string, Partial<ContainerConfig>][] = [
    ["--registry img://ghcr.io/myorg/myapp", { app: "myapp", mappings: [] }],
    ["--registry img://ghcr.io/myorg/myapp?pre-release=true", { app: "myapp" }],
    [
      "--registry img://ghcr.io/myorg/myapp --container-port 8080 --health-path /health",
      {
        mappings: [{ listen: { kind: "tcp", host: undefined, port: 8080 }, containerPort: 8080 }],
        healthPath: "/health",
      },
    ],
    ["--registry img://ghcr.io/owner/app", { app: "app" }],
    ["--registry img://ghcr.io/owner/private-app", { app: "private-app" }],
    ["--registry img://docker.io/library/nginx", { app: "nginx" }],
    ["--registry img://docker.io/myuser/myapp", { app: "myapp" }],
    ["--registry img://myuser/myapp", { app: "myapp" }],
    ["--registry img://gcr.io/my-project/myapp", { app: "myapp" }],
    ["--registry img://123456789.dkr.ecr.ap-northeast-1.amazonaws.com/myapp", { app: "myapp" }],
    [
      "--registry img://ghcr.io/myorg/myapp --interval 300 --container-port 8080 --health-path /health --health-timeout 30 --drain-time 30 --log-level info",
      { intervalMs: 300_000, healthTimeoutMs: 30_000, drainTimeMs: 30_000, logLevel: "info" },
    ],
  ];
  test.each(lines)("dewy container %s", (line, wanted) => {
    expect(read(["container", ...line.split(" ")])).toMatchObject(wanted);
  });
});

describe("readConfig of container", () => {
  test("uses the documented defaults", () => {
    expect(container()).toEqual({
      command: "container",
      containerEnv: {},
      stopTimeoutMs: 10_000,
      registry: "img://ghcr.io/o/app",
      slot: undefined,
      calver: undefined,
      logLevel: undefined,
      logFormat: undefined,
      caFile: undefined,
      intervalMs: 10_000,
      once: false,
      dryRun: false,
      windows: [],
      minAgeMs: 0,
      noDowngrade: false,
      verify: [],
      trustedRoot: undefined,
      confirmMajor: false,
      maxStalenessMs: undefined,
      webhooks: undefined,
      beforeDeployHook: undefined,
      afterDeployHook: undefined,
      hookTimeoutMs: 600_000,
      notifiers: [],
      notifierFiles: [],
      telemetry: undefined,
      retryBad: false,
      acceptChanged: [],
      app: "app",
      directory: undefined,
      mappings: [],
      hosts: [],
      replicas: 1,
      surge: 1,
      healthPath: undefined,
      healthTimeoutMs: 30_000,
      drainTimeMs: 30_000,
      bakeMs: 30_000,
      proxyIdleTimeoutMs: 300_000,
      balance: "least-connections",
      proxyProtocol: undefined,
      engine: "docker",
      cmd: [],
      args: [],
      user: undefined,
      keepContainers: false,
      admin: { port: 17_539, host: "127.0.0.1", tokenFile: undefined, metricsPublic: false },
    });
  });
  test("reads all flags", () => {
    const config = container(
      ...["-n", "web", "-d", "/srv/web", "-p", "80:3000", "--host", "127.0.0.1", "--host=::1"],
      ...["--replicas", "3", "--surge", "0", "--health-path", "/up", "--health-timeout", "1m"],
      ...["--drain-time", "0", "--bake", "0", "--proxy-idle-timeout", "0"],
      ...["--balance", "round-robin", "--proxy-protocol", "v2", "--runtime", "Podman"],
      ...["--cmd", "node", "--cmd=--version", "--keep-containers", "--admin-port", "20000"],
      ...["--allow-option", "privileged", "--", "-e", "A=b", "--privileged", "--user", "7:8"],
    );
    expect(config).toMatchObject({
      app: "web",
      directory: "/srv/web",
      hosts: ["127.0.0.1", "::1"],
      replicas: 3,
      surge: 0,
      healthPath: "/up",
      healthTimeoutMs: 60_000,
      drainTimeMs: 0,
      bakeMs: 0,
      proxyIdleTimeoutMs: 0,
      balance: "round-robin",
      proxyProtocol: "v2",
      engine: "podman",
      cmd: ["node", "--version"],
      args: ["-e", "A=b", "--privileged", "--user", "7:8"],
      user: "7:8",
      keepContainers: true,
      admin: { port: 20_000 },
    });
    expect(config.mappings.map(formatPortMapping)).toEqual(["127.0.0.1:80:3000", "[::1]:80:3000"]);
  });
  test.each([
    [["--port", "8080", "--container-port", "3000"], ["8080:3000"]],
    [["--port", "8080:3000"], ["8080:3000"]],
    [
      ["--port", "8080", "--port", "9090:5", "--container-port", "3000"],
      ["8080:3000", "9090:5"],
    ],
    [["--container-port", "3000"], ["3000:3000"]],
    [["--container-port", "3000", "--host", "::1"], ["[::1]:3000:3000"]],
    [["--port", "8080"], ["8080"]],
    [[], []],
  ])("%j listens on %j", (argv, mappings) => {
    expect(ports(...argv)).toEqual(mappings);
  });
  test.each([
    [[], "app"],
    [["--", "--name", "web"], "web"],
    [["--", "--name", "web", "--name=api"], "api"],
    [["--name", "one", "--", "--name", "two"], "one"],
    [["--name", "", "--", "--name", "two"], "two"],
  ])("%j is the app %s", (argv, app) => {
    const config = container(...argv);
    expect(config.app).toBe(app);
    expect(config.args).toEqual([]);
  });
  test.each([
    [["--replicas", "0"], 'Invalid value for --replicas "0": expected a number, at least 1'],
    [["--replicas", "two"], 'Invalid value for --replicas "two"'],
    [["--replicas=-1"], 'Invalid value for --replicas "-1"'],
    [["--replicas", "1.5"], 'Invalid value for --replicas "1.5"'],
    [["--surge", "0"], "--surge 0 needs --replicas 2 or more"],
    [["--surge=-1"], 'Invalid value for --surge "-1"'],
    [
      ["--port", "8080:3000", "--container-port", "3000"],
      "--container-port 3000 has no effect: --port 8080:3000 already names the port of the containers",
    ],
    [["--container-port", "0"], 'Invalid value for --container-port "0": expected a number from 1'],
    [["--port", ""], "no valid port mappings specified"],
    [["--port", "8080", "--port", ""], "no valid port mappings specified"],
    [["--host", "a b"], 'Invalid value for --host "a b": expected an address of this machine'],
    [["--name", "My App"], 'Invalid value for --name "My App"'],
    [["--name", "../../etc"], 'Invalid value for --name "../../etc"'],
    [["--", "--name", "a/b"], 'Invalid value for --name "a/b"'],
    [
      ["--runtime", "dokcer"],
      'Invalid value for --runtime "dokcer": expected docker, podman; did you mean docker?',
    ],
    [
      ["--runtime", "containerd"],
      'Invalid value for --runtime "containerd": expected docker, podman',
    ],
    [["--health-path", "up"], '--health-path "up"'],
    [["--health-timeout", "0"], 'Invalid value for --health-timeout "0"'],
    [["--balance", "random"], '--balance "random": expected least-connections, round-robin'],
    [["--proxy-protocol", "v3"], '--proxy-protocol "v3": expected v1, v2'],
    [["--admin-port", "x"], 'Invalid value for --admin-port "x"'],
    [["--admin-port", "70000"], 'Invalid value for --admin-port "70000"'],
    [["ps"], 'unexpected argument "ps" for "dewy container"; options of docker run go after "--"'],
    [["lst"], "did you mean dewy container list?"],
    [["--", "-d"], "-d"],
    [["--", "--privileged"], "--allow-option privileged"],
    [["--allow-option", "priviledged"], "privileged"],
    [["--memory", "1g"], 'unknown flag --memory; options of docker run go after "--"'],
    [["--handoff", "proxy"], 'unknown flag --handoff for "dewy container" (it belongs to: server)'],
  ])("refuses %j", (argv, message) => {
    expect(() => container(...argv)).toThrow(message);
  });
});

describe("readConfig of container list", () => {
  test("uses the documented defaults", () => {
    expect(read(["container", "list"])).toEqual({
      command: "container list",
      logLevel: undefined,
      logFormat: undefined,
      adminPort: 17_539,
      engine: "docker",
      json: false,
    });
  });
  test("reads its flags in any position", () => {
    expect(
      read(["--json", "container", "--admin-port", "5", "list", "--runtime=podman"]),
    ).toMatchObject({
      command: "container list",
      adminPort: 5,
      engine: "podman",
      json: true,
    });
  });
  test.each([
    [["container", "list", "app"], 'unexpected argument "app" for "dewy container list"'],
    [
      ["container", "list", "--registry", "img://a/b"],
      'unknown flag --registry for "dewy container list"',
    ],
    [["container", "list", "--", "x"], 'unexpected "x" after "--"'],
  ])("refuses %j", (argv, message) => {
    expect(() => read(argv)).toThrow(message);
  });
});
