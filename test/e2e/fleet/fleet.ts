import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { VERSION_FILE } from "../archive.ts";
import type { LogLine } from "../dewy.ts";
import type { AgentsConfig } from "./agents.ts";
import type { Counts, ServicesCommand } from "./services.ts";

/** Returns the command line that runs a TypeScript file of this folder. */
export type CommandOf = (file: string) => Promise<readonly [string, ...string[]]>;

/** A line of the log of one host. */
export interface HostLine extends LogLine {
  host: string;
}

export interface FleetOptions {
  commandOf: CommandOf;
  /** Holds the directories of all hosts. */
  directory: string;
  environment: NodeJS.ProcessEnv;
  hosts: number;
  /** Processes that the hosts share. Defaults to one for each host. */
  processes?: number;
  argv: (services: Services) => readonly string[];
}

/** The registry and the bucket of a fleet. */
export class Services {
  readonly urls: { api: string; bucket: string };
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess, lines: Interface, urls: Services["urls"]) {
    this.#child = child;
    this.#lines = lines;
    this.urls = urls;
  }

  static async start(commandOf: CommandOf, env: NodeJS.ProcessEnv): Promise<Services> {
    const [program, ...args] = await commandOf("services.ts");
    const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout });
    return new Services(child, lines, JSON.parse(await nextLine(lines)));
  }

  count(): Promise<Counts> {
    return this.tell({ do: "count" }) as Promise<Counts>;
  }

  async read(key: string): Promise<string | undefined> {
    return ((await this.tell({ do: "read", key })) as string | null) ?? undefined;
  }

  tell(command: ServicesCommand): Promise<unknown> {
    const answer = this.#last.then(async () => {
      const line = nextLine(this.#lines);
      this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
      return JSON.parse(await line) as unknown;
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Many agents against one registry and one bucket. */
export class Fleet {
  readonly services: Services;
  readonly hosts: readonly string[];
  readonly log: HostLine[] = [];
  readonly #options: FleetOptions;
  readonly #groups: { hosts: readonly string[]; child?: ChildProcess }[];

  private constructor(services: Services, options: FleetOptions) {
    this.services = services;
    this.#options = options;
    const { hosts, processes = hosts } = options;
    this.hosts = Array.from({ length: hosts }, (_, at) => `host-${String(at).padStart(3, "0")}`);
    this.#groups = Array.from({ length: processes }, (_, group) => ({
      hosts: this.hosts.filter((_host, at) => at % processes === group),
    }));
  }

  /** The agents are not started. */
  static async open(options: FleetOptions): Promise<Fleet> {
    const services = await Services.start(options.commandOf, options.environment);
    return new Fleet(services, options);
  }

  /** Reaches the registry and the bucket. */
  get environment(): Record<string, string> {
    return {
      GITHUB_API_URL: this.services.urls.api,
      GITHUB_TOKEN: "ghp_reader",
      AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
      AWS_SECRET_ACCESS_KEY: "secret",
    };
  }

  get processes(): number {
    return this.#groups.length;
  }

  hostsOf(group: number): readonly string[] {
    return this.#groups[group]?.hosts ?? [];
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#groups.map((_, group) => this.start(group)));
  }

  /** Starts a process, and waits until all of its hosts have begun. */
  async start(group: number): Promise<void> {
    const found = this.#groups[group];
    if (found === undefined) throw new Error(`there is no process ${group}`);
    const { commandOf, directory, environment, argv } = this.#options;
    const config: AgentsConfig = { hosts: found.hosts, directory, argv: argv(this.services) };
    const [program, ...args] = await commandOf("agents.ts");
    const env = { ...environment, ...this.environment };
    const child = spawn(program, [...args, JSON.stringify(config)], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    found.child = child;
    const silent = new Set(found.hosts);
    await new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on("line", (text) => {
        const line = JSON.parse(text) as HostLine;
        this.log.push(line);
        if (silent.delete(line.host) && silent.size === 0) resolve();
      });
      child.once("close", () => resolve());
    });
  }

  /** Kills a process with all of its hosts by SIGKILL, and waits for its end. */
  async kill(group: number): Promise<void> {
    const child = this.#groups[group]?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }

  /** How many hosts run each version. Hosts without one are counted as `none`. */
  async versions(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const tag of (await this.live()).values()) counts[tag] = (counts[tag] ?? 0) + 1;
    return counts;
  }

  /** The version that each host runs. */
  async live(): Promise<Map<string, string>> {
    const { directory } = this.#options;
    const read = async (host: string): Promise<[string, string]> => {
      const path = join(directory, host, "current", VERSION_FILE);
      return [host, await readFile(path, "utf8").catch(() => "none")];
    };
    return new Map(await Promise.all(this.hosts.map(read)));
  }

  /** The URL of the cache, as an operator writes it. */
  static cacheUrl({ urls }: Services, ttl: string): string {
    const query = new URLSearchParams({ endpoint: urls.bucket, "registry-ttl": ttl });
    return `s3://us-east-1/fleet/app?${query}`;
  }

  async close(): Promise<void> {
    await Promise.all(this.#groups.map((_, group) => this.kill(group)));
    this.services.close();
  }
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = await once(lines, "line");
  return String(line);
}
