import type { Environment } from "../../core/environment.ts";
import { ConflictError, NotFoundError } from "../../core/error.ts";
import { type EngineCall, EngineCommand } from "./command.ts";
import { type EngineDialect, filterArgs, type HealthRuns } from "./dialect.ts";
import { dockerDialect } from "./docker.ts";
import type {
  ContainerEngine,
  ContainerSpec,
  EngineContainer,
  EngineImage,
  EngineName,
  LabelFilter,
  PullOptions,
} from "./engine.ts";
import { watchEvents } from "./events.ts";
import { saysAbsent, saysInUse, saysPortTaken } from "./failure.ts";
import { removeLogins, withLoginDirectory } from "./login.ts";
import { podmanDialect } from "./podman.ts";
import { parseContainers, parseImage } from "./schema.ts";

const INSPECT_MS = 30_000;
const CHANGE_MS = 120_000;
const PULL_MS = 60 * 60_000;
/** Another program may take the free port that the engine chose. */
const START_ATTEMPTS = 3;
const MAX_SIGNALLED = 1_000;
/** A line of an app may be of any length. */
const LOG_BYTES = 1024 * 1024;
const SIGNALS: ReadonlySet<string> = new Set(["kill", "stop"]);

interface EngineOptions {
  env: Environment;
  cwd: string;
  /** A directory for the logins of pulls, used by this dewy process only. Created if missing. */
  logins: string;
}

/** Does not run the engine's program yet. */
export function createEngine(name: EngineName, options: EngineOptions): ContainerEngine {
  const { env, cwd, logins } = options;
  const dialect = name === "docker" ? dockerDialect(env) : podmanDialect(env);
  return new CliEngine(dialect, new EngineCommand(name, env, cwd), logins);
}

class CliEngine implements ContainerEngine {
  readonly name: EngineName;
  readonly #dialect: EngineDialect;
  readonly #command: EngineCommand;
  readonly #logins: string;
  readonly #healthRuns: HealthRuns | undefined;
  /** IDs of containers, oldest first. */
  readonly #signalled = new Set<string>();

  constructor(dialect: EngineDialect, command: EngineCommand, logins: string) {
    this.name = dialect.name;
    this.#dialect = dialect;
    this.#command = command;
    this.#logins = logins;
    this.#healthRuns = dialect.healthRuns?.(command);
  }

  describe(signal: AbortSignal): Promise<string> {
    return this.#dialect.describe(this.#command, signal);
  }

  async pull(options: PullOptions): Promise<void> {
    await withLoginDirectory(this.#logins, async (directory) => {
      const { args, env } = await this.#dialect.pullCall(options, directory, this.#command);
      const action = `pull ${options.image}`;
      await this.#command.output({ args, env, action, timeoutMs: PULL_MS, signal: options.signal });
    });
  }

  forgetLogins(): Promise<void> {
    return removeLogins(this.#logins);
  }

  async image(reference: string, signal: AbortSignal): Promise<EngineImage | undefined> {
    const output = await this.#outputIfPresent(
      ["image", "inspect", reference],
      `inspect ${reference}`,
      signal,
    );
    return output === undefined ? undefined : parseImage(output, this.name);
  }

  async imageNames(repository: string, signal: AbortSignal): Promise<readonly string[]> {
    const format = "{{.Repository}}:{{.Tag}}";
    const output = await this.#command.output({
      args: ["images", "--filter", `reference=${repository}`, "--format", format],
      action: `list the images of ${repository}`,
      timeoutMs: INSPECT_MS,
      signal,
    });
    const names = output.split("\n").filter((name) => name.startsWith(`${repository}:`));
    return names.filter((name) => !name.endsWith(":<none>"));
  }

  async tag(reference: string, name: string, signal: AbortSignal): Promise<void> {
    await this.#command.output({
      args: ["tag", reference, name],
      action: `name ${reference} ${name}`,
      timeoutMs: INSPECT_MS,
      signal,
    });
  }

  async removeImage(name: string, signal: AbortSignal): Promise<boolean> {
    const action = `remove the image ${name}`;
    const call = { args: ["rmi", name], action, timeoutMs: CHANGE_MS, signal };
    const result = await this.#command.run(call);
    if (result.exitCode === 0 || saysAbsent(result.stderr)) return true;
    if (saysInUse(result.stderr)) return false;
    throw this.#command.failure(call, result);
  }

  async start(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    for (let attempt = 1; ; attempt += 1) {
      const id = await this.#create(spec, signal);
      const call = {
        args: ["start", id],
        action: `start ${spec.name}`,
        timeoutMs: CHANGE_MS,
        signal,
        spec,
      };
      const result = await this.#command.run(call).catch(async (error: unknown) => {
        await this.#discard(spec);
        throw error;
      });
      if (result.exitCode === 0) return id;
      await this.#discard(spec);
      if (attempt < START_ATTEMPTS && saysPortTaken(result.stderr)) continue;
      throw this.#command.failure(call, result);
    }
  }

  async list(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineContainer[]> {
    const output = await this.#command.output({
      args: ["ps", "--all", "--quiet", "--no-trunc", ...filterArgs(labels)],
      action: "list containers",
      timeoutMs: INSPECT_MS,
      signal,
    });
    const ids = output.split("\n").filter((line) => line !== "");
    return ids.length === 0 ? [] : this.#inspectChecked(ids, signal);
  }

  async inspect(id: string, signal: AbortSignal): Promise<EngineContainer | undefined> {
    const [container] = await this.#inspectChecked([id], signal);
    return container;
  }

  async lastLines(id: string, count: number, signal: AbortSignal): Promise<readonly string[]> {
    const result = await this.#command.run({
      args: ["logs", "--tail", String(count), id],
      action: `read the output of ${id}`,
      timeoutMs: INSPECT_MS,
      mergesErrors: true,
      keptBytes: LOG_BYTES,
      signal,
    });
    // Some log drivers cannot read logs.
    if (result.exitCode !== 0) return [];
    return result.stdout
      .trimEnd()
      .split(/\r?\n/)
      .slice(-count)
      .filter((line) => line !== "");
  }

  async stop(id: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const seconds = Math.ceil(timeoutMs / 1000);
    await this.#ignoreAbsent({
      args: ["stop", "-t", String(seconds), id],
      action: `stop ${id}`,
      timeoutMs: CHANGE_MS + timeoutMs,
      signal,
    });
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#ignoreAbsent({
      args: ["rm", "--volumes", id],
      action: `remove ${id}`,
      timeoutMs: CHANGE_MS,
      signal,
    });
  }

  watch(labels: LabelFilter, onChange: (id: string) => void, signal: AbortSignal): Promise<void> {
    const onEvent = (id: string, action: string): void => {
      if (SIGNALS.has(action)) this.#rememberSignal(id);
      else onChange(id);
    };
    const dialect = this.#dialect;
    return watchEvents({ dialect, command: this.#command, labels, onEvent, signal });
  }

  async #inspectChecked(ids: readonly string[], signal: AbortSignal): Promise<EngineContainer[]> {
    const containers = await this.#inspect(ids, signal);
    const haveChanged = await this.#healthRuns?.run(containers, signal);
    return haveChanged ? this.#inspect(ids, signal) : containers;
  }

  async #inspect(ids: readonly string[], signal: AbortSignal): Promise<EngineContainer[]> {
    const output = await this.#outputIfPresent(
      ["container", "inspect", ...ids],
      "inspect containers",
      signal,
    );
    if (output === undefined) return [];
    const containers = parseContainers(output, this.name);
    return containers.map((one) => ({
      ...one,
      wasSignalled: one.wasSignalled || this.#signalled.has(one.id),
    }));
  }

  #rememberSignal(id: string): void {
    this.#signalled.add(id);
    for (const oldest of [...this.#signalled].slice(0, -MAX_SIGNALLED)) {
      this.#signalled.delete(oldest);
    }
  }

  async #outputIfPresent(
    args: string[],
    action: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const call = { args, action, timeoutMs: INSPECT_MS, signal };
    const result = await this.#command.run(call);
    const isAnswer = result.exitCode === 0 || saysAbsent(result.stderr);
    if (!isAnswer) throw this.#command.failure(call, result);
    return result.stdout.trim() || undefined;
  }

  async #create(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    try {
      const output = await this.#command.output({
        args: createArgs(spec),
        action: `create ${spec.name}`,
        timeoutMs: CHANGE_MS,
        signal,
        spec,
      });
      return output.trim().split("\n").at(-1) ?? "";
    } catch (error) {
      // In a conflict, the container with this name is another one.
      if (!(error instanceof ConflictError)) await this.#discard(spec);
      throw error;
    }
  }

  /** Also works while dewy is about to exit. */
  async #discard(spec: ContainerSpec): Promise<void> {
    const signal = AbortSignal.timeout(CHANGE_MS);
    try {
      const [left] = await this.#inspect([spec.name], signal);
      if (left === undefined || !hasLabels(left, spec.labels)) return;
      const action = `remove ${spec.name}`;
      const args = ["rm", "--force", "--volumes", left.id];
      await this.#command.output({ args, action, timeoutMs: CHANGE_MS, signal });
    } catch {
      // The first error matters more. The next cleanup finds the container by its labels.
    }
  }

  async #ignoreAbsent(call: EngineCall): Promise<void> {
    try {
      await this.#command.output(call);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
}

function createArgs(spec: ContainerSpec): string[] {
  return [
    ...["create", "--pull", "never", "--name", spec.name],
    ...Object.entries(spec.labels).flatMap(([name, value]) => ["--label", `${name}=${value}`]),
    // Clients connect to the proxy only. The engine chooses a free port.
    ...spec.ports.flatMap((port) => ["--publish", `127.0.0.1::${port}`]),
    ...(spec.user === undefined ? [] : ["--user", spec.user]),
    ...spec.args,
    spec.image,
    ...spec.command,
  ];
}

function hasLabels(container: EngineContainer, labels: LabelFilter): boolean {
  return Object.entries(labels).every(([name, value]) => container.labels[name] === value);
}
