import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type AppImage, appImage } from "../../peers/container_app.ts";
import { type EnginePeer, startEngine } from "../../peers/container_engine.ts";
import { type DockerRegistry, startDockerRegistry } from "../../peers/docker_registry.ts";
import { freePorts } from "../../peers/ports.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type CliRuntime, type Dewy, startDewy } from "../dewy.ts";

/** An engine and a registry, shared by the tests of a file. */
export interface ContainerPeers {
  engine: EnginePeer;
  registry: DockerRegistry;
  stop(): Promise<void>;
}

export async function startContainerPeers(name: EnginePeer["name"]): Promise<ContainerPeers> {
  const [engine, registry] = await Promise.all([startEngine(name), startDockerRegistry()]);
  return {
    engine,
    registry,
    stop: async () => {
      await engine.stop();
      await registry.stop();
    },
  };
}

/** A container in the output of the engine's command line. */
export interface RunningContainer {
  id: string;
  name: string;
  tag: string;
  /** Such as `running` or `exited`. */
  state: string;
}

export interface ServedContainers {
  app: string;
  /** The directory in which dewy is started. */
  root: string;
  /** The working directory of dewy. */
  directory: string;
  /** The port of the proxy. */
  port: number;
  /** Pushes an image with the version as its tag. */
  publish(version: string, options?: Partial<AppImage>): Promise<void>;
  /** Starts dewy, or restarts it after it has exited. */
  start(flags?: readonly string[], env?: Readonly<Record<string, string>>): Dewy;
  /** The command line that {@link start} runs, and its environment. */
  command(flags?: readonly string[]): { argv: readonly [string, ...string[]]; env: Environment };
  /** The containers of the app in any state. */
  containers(): Promise<readonly RunningContainer[]>;
  /** The tags of the running containers, sorted. */
  running(): Promise<readonly string[]>;
  /** The number of responses that all containers have counted. */
  answers(): Promise<number>;
}

type Environment = Readonly<Record<string, string>>;

const QUICK: readonly string[] = [
  "--interval",
  "1s",
  "--bake",
  "500ms",
  "--health-path",
  "/health",
];
const LOG: readonly string[] = ["--log-level", "debug", "--log-format", "json"];
let made = 0;

interface Inspected {
  Id: string;
  Name: string;
  State: { Status: string };
  Config: { Labels: Record<string, string> };
}

function runningContainer({ Id, Name, State, Config }: Inspected): RunningContainer {
  const tag = Config.Labels["dewy.version"] ?? "";
  return { id: Id, name: Name.replace(/^\//, ""), tag, state: State.Status };
}

export interface ServeOptions {
  /** The repository in the registry. Defaults to one of its own, named after the app. */
  repository?: string;
  /** Defaults to the peers' registry. */
  registry?: DockerRegistry;
  /** The query of the registry's URL, with its question mark. */
  query?: string;
  /** Options for the containers. */
  args?: readonly string[];
}

/**
 * Makes an app with its own directory, repository and port. Remaining containers are removed after
 * the test.
 */
export async function serveContainers(
  { engine, ...peers }: ContainerPeers,
  runtime: CliRuntime,
  { registry = peers.registry, query = "", args: own = [], ...options }: ServeOptions = {},
): Promise<ServedContainers> {
  made += 1;
  const app = `app${made}`;
  const { repository = app } = options;
  const root = await tempDirectory();
  const directory = join(root, "dewy");
  const counts = join(root, "counts");
  await mkdir(counts, { mode: 0o777 });
  const [port = 0, admin = 0] = await freePorts(2);
  const list = async (): Promise<readonly RunningContainer[]> => {
    const filter = `label=dewy.app=${app}`;
    for (;;) {
      const ids = (await engine.run("ps", "-aq", "--no-trunc", "--filter", filter)).split("\n");
      const known = ids.filter((id) => id !== "");
      if (known.length === 0) return [];
      // The call fails if a container is removed meanwhile.
      const text = await engine.run("container", "inspect", ...known).catch(() => undefined);
      if (text !== undefined) return (JSON.parse(text) as Inspected[]).map(runningContainer);
    }
  };
  onTestFinished(async () => {
    for (let left = await list(); left.length > 0; left = await list()) {
      // The engine may be removing a container for dewy.
      await engine.run("rm", "-f", ...left.map(({ id }) => id)).catch(() => "");
    }
  });
  const command: ServedContainers["command"] = (flags = []) => {
    const args = [
      ...[
        "container",
        "--registry",
        `img://${registry.host}/${repository}${query}`,
        ...(repository === app ? [] : ["--name", app]),
        "--runtime",
        engine.name,
      ],
      ...["--directory", directory, "--port", `${port}:3000`, "--admin-port", String(admin)],
      ...[...QUICK, ...LOG, ...flags],
      ...["--", "-v", `${counts}:/counts`, "-e", "COUNTS=/counts", ...own],
    ];
    return { argv: [...runtime.command, ...args], env: engine.env };
  };
  return {
    app,
    root,
    directory,
    port,
    publish: async (version, options = {}) =>
      registry.push(repository, version, await appImage({ version, ...options })),
    command,
    start: (flags = [], env = {}) => {
      const { argv, env: own } = command(flags);
      return startDewy(argv, [], { cwd: root, env: { ...own, ...env } });
    },
    containers: list,
    running: async () =>
      (await list())
        .filter(({ state }) => state === "running")
        .map(({ tag }) => tag)
        .sort(),
    answers: async () => {
      const files = await readdir(counts);
      const texts = await Promise.all(files.map((name) => readFile(join(counts, name), "utf8")));
      return texts.reduce((sum, text) => sum + Number(text), 0);
    },
  };
}
