import { type Supervision, statePath } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import type { AdminContainer } from "../control/admin.ts";
import { cached } from "../core/concurrency.ts";
import { ConfigError } from "../core/error.ts";
import type { DeployContext, Deployer } from "../deploy/deployer.ts";
import { findRelease } from "../deploy/state.ts";
import { assetsDeployer } from "../deployers/assets.ts";
import { fallBack } from "../deployers/fall_back.ts";
import type { ReleaseDirectory } from "../deployers/release_directory.ts";
import type { CrashLoop } from "../deployers/runner.ts";
import { supervisedDeployer } from "../deployers/supervised_deployer.ts";
import { stateFile } from "../host/files/state_file.ts";
import type { ProxyObserver } from "../host/proxy/tcp_proxy.ts";
import type { ImageRegistry } from "../registries/oci/image_registry.ts";
import { adminContainer } from "./admin/container.ts";
import type { ContainerConfig } from "./config.ts";
import type { ContainerEngine, EngineImage } from "./engine/engine.ts";
import { managedLabels } from "./options/names.ts";
import { containerPorts } from "./options/ports.ts";
import { checkOwner } from "./owner.ts";
import type { ContainerProxy } from "./proxy.ts";
import { ContainerService } from "./replicas/container_service.ts";
import { pruneImages, readImageRecord, stageImage } from "./replicas/images.ts";
import { prepareRelease } from "./replicas/prepare_release.ts";
import type { ImageVerification } from "./replicas/verify_image.ts";

interface ContainerParts {
  config: ContainerConfig;
  directory: ReleaseDirectory;
  registry: ImageRegistry;
  engine: ContainerEngine;
  proxy: ContainerProxy;
  verification: ImageVerification | undefined;
}

/** Reading the output takes programs of the engine. */
const LINES_MS = 3_000;
const LINES_TIMEOUT_MS = 5_000;

type TagOf = (directory: string) => Promise<string | undefined>;

/** Connects the deploy sequence with the service that runs the containers. */
export class ContainerSupervision implements Supervision {
  readonly deployer: Deployer;
  readonly #service: ContainerService;
  readonly #parts: ContainerParts;
  readonly #context: CommandContext;
  readonly #tagOf: TagOf;
  /** Until the owner is checked, a failed start must not stop another dewy's containers. */
  #ownsContainers = false;
  readonly #lastLines: () => Promise<readonly string[]>;
  #deploying: DeployContext | undefined;

  constructor(parts: ContainerParts, context: CommandContext) {
    this.#parts = parts;
    this.#context = context;
    const store = stateFile(statePath(parts.directory.root), context.emit);
    this.#tagOf = async (name) => findRelease(await store.load(), name)?.tag;
    this.#service = createService(parts, context, (loop) => this.#rollBack(loop));
    this.#lastLines = cached(() => this.#service.lastLines(AbortSignal.timeout(LINES_TIMEOUT_MS)), {
      ms: LINES_MS,
      clock: context.clock,
    });
    this.deployer = containerDeployer(this.#service, parts, context, this.#tagOf);
  }

  async adopt(): Promise<void> {
    const { config, directory, engine, proxy } = this.#parts;
    await engine.forgetLogins();
    await proxy.openKnown();
    await openExposed(this.#parts);
    await checkOwner(config.app, directory.root, engine, this.#context.signals.stop);
    this.#ownsContainers = true;
    await this.#service.adopt();
  }

  async begin(context: DeployContext): Promise<void> {
    this.#deploying = context;
    const live = await this.#parts.directory.live();
    if (live === undefined) return;
    await this.#service.ensureRunning({ tag: (await this.#tagOf(live)) ?? "", directory: live });
  }

  lastLines(): Promise<readonly string[]> {
    return this.#lastLines();
  }

  measure() {
    const proxies = this.#parts.proxy.routes().map(({ proxy }) => proxy.stats());
    return { proxies, ...this.#service.measure() };
  }

  observeProxy(observer: ProxyObserver): void {
    this.#parts.proxy.observe(observer);
  }

  async containers(signal: AbortSignal): Promise<readonly AdminContainer[]> {
    const { config, engine } = this.#parts;
    const found = await engine.list(managedLabels(config.app), signal);
    const port = config.mappings[0]?.containerPort;
    return found.map((one) => ({
      ...adminContainer(one, port, this.#service.stateOf(one.id)),
      restarts: one.restarts,
      ...(one.exitCode !== undefined && {
        exit_code: one.exitCode,
        oom_killed: one.wasOutOfMemory,
      }),
    }));
  }

  restart(_by: "signal" | "operator", signal: AbortSignal): Promise<void> {
    return this.#service.restart(signal);
  }

  appStatus(): ReturnType<ContainerService["report"]> {
    return this.#service.report();
  }

  end(): Promise<void> {
    const { keepContainers: keep, drainTimeMs: drainMs } = this.#parts.config;
    const { containers } = this.#service;
    if (containers.length > 0) {
      this.#context.emit({ type: "containers-ending", containers, keep, drainMs });
    }
    return this.#service.stop({ keep: keep || !this.#ownsContainers });
  }

  #rollBack(loop: CrashLoop): void {
    const context = this.#deploying;
    if (context === undefined) return;
    const { directory } = this.#parts;
    const { stop: signal } = this.#context.signals;
    void fallBack(loop, { directory, runner: this.#service, context, signal });
  }
}

function createService(
  { config, directory, registry, engine, proxy }: ContainerParts,
  { clock, emit, env, redactor, signals }: CommandContext,
  onCrashLoop: (loop: CrashLoop) => void,
): ContainerService {
  const { app, mappings, args, user, cmd: command, replicas, surge } = config;
  const { healthPath: path, proxyProtocol, healthTimeoutMs: timeoutMs } = config;
  const [uid, gid] = [process.getuid?.(), process.getgid?.()];
  const own = uid === undefined || gid === undefined ? undefined : { uid, gid };
  return new ContainerService({
    engine,
    app,
    root: directory.root,
    proxy,
    prepare: prepareRelease({ engine, registry, directory, mappings, args, user, command, own }),
    replicas,
    surge,
    health: { path, proxyProtocol, timeoutMs },
    redact: redactor(env, config.containerEnv),
    drainMs: config.drainTimeMs,
    stopTimeoutMs: config.stopTimeoutMs,
    onCrashLoop,
    stopping: signals.stop,
    clock,
    emit,
  });
}

function containerDeployer(
  service: ContainerService,
  { config, directory, registry, engine, proxy, verification }: ContainerParts,
  { clock, emit }: CommandContext,
  tagOf: TagOf,
): Deployer {
  const { app, mappings, replicas, bakeMs } = config;
  const check = ({ exposedPorts }: EngineImage): void =>
    proxy.check(containerPorts(mappings, exposedPorts));
  return supervisedDeployer({
    directory,
    stage: stageImage({ engine, registry, directory, app, verification, check, clock, emit }),
    runner: service,
    bakeMs,
    tagOf,
    onStarted: (tag) => {
      if (bakeMs > 0) emit({ type: "containers-serving", tag, bakeMs });
    },
    onProven: (tag) => emit({ type: "containers-deployed", tag, ready: service.ready, replicas }),
    prune: pruneImages({ engine, directory, app, emit }),
  });
}

/** Pulls images and records them, but starts no container. */
export function dryDeployer(
  { config, directory, registry, engine, verification }: Omit<ContainerParts, "proxy">,
  { clock, emit }: CommandContext,
): Deployer {
  const { app, mappings } = config;
  const check = ({ exposedPorts }: EngineImage): void =>
    void containerPorts(mappings, exposedPorts);
  return assetsDeployer(
    directory,
    stageImage({ engine, registry, directory, app, verification, check, clock, emit }),
  );
}

/** Opens the port that the image of the live release exposes, if the flags name none. */
async function openExposed({ config, directory, proxy }: ContainerParts): Promise<void> {
  const live = await directory.live();
  if (config.mappings.length > 0 || live === undefined) return;
  const record = await readImageRecord(directory.path(live)).catch(() => undefined);
  if (record === undefined) return;
  try {
    await proxy.open(containerPorts([], record.exposedPorts));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
  }
}
