import { type Supervision, statePath } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { ConfigError } from "../core/error.ts";
import type { DeployContext, Deployer } from "../deploy/deployer.ts";
import { findRelease } from "../deploy/state.ts";
import { fallBack } from "../deployers/fall_back.ts";
import type { ReleaseDirectory } from "../deployers/release_directory.ts";
import type { CrashLoop } from "../deployers/runner.ts";
import { supervisedDeployer } from "../deployers/supervised_deployer.ts";
import { stateFile } from "../host/files/state_file.ts";
import type { ImageRegistry } from "../registries/oci/image_registry.ts";
import type { ContainerConfig } from "./config.ts";
import type { ContainerEngine, EngineImage } from "./engine/engine.ts";
import { containerPorts } from "./options/ports.ts";
import { checkOwner } from "./owner.ts";
import type { ContainerFront } from "./proxy.ts";
import { Fleet } from "./replicas/fleet.ts";
import { readImageRecord } from "./replicas/image_record.ts";
import { prepareRelease } from "./replicas/prepare_release.ts";
import { pruneImages } from "./replicas/prune_images.ts";
import { stageImage } from "./replicas/stage_image.ts";

/** What {@link superviseContainer} puts together. */
export interface ContainerParts {
  config: ContainerConfig;
  directory: ReleaseDirectory;
  registry: ImageRegistry;
  engine: ContainerEngine;
  front: ContainerFront;
}

/** What runs now, for the admin API. */
export interface ContainerStatus {
  /** The tag that is meant to run; `undefined`: none. */
  tag: string | undefined;
  /** How many backends new connections go to, over all ports. */
  backends: number;
  /** Whether any replica serves and is healthy. */
  isRunning: boolean;
  /** What is being done with a container; `undefined` for one that is unknown. */
  stateOf(id: string): string | undefined;
}

/** What {@link superviseContainer} makes. */
export interface ContainerSupervision {
  deployer: Deployer;
  supervision: Supervision;
  status(): ContainerStatus;
}

/**
 * Puts the fleet between the deploy sequence and the engine.
 *
 * @param parts the parts.
 * @returns the deployer, and what the agent does beside polling.
 */
export function superviseContainer(
  parts: ContainerParts,
  context: CommandContext,
): ContainerSupervision {
  const { config, directory, registry, engine, front } = parts;
  const { app, mappings, args, user, cmd: command, replicas, surge, bakeMs } = config;
  const { keepContainers: keep, drainTimeMs: drainMs } = config;
  const { clock, emit, signals } = context;
  /** Until then, a start that fails must not end what others look after. */
  let isOurs = false;
  let onCrashLoop = (_loop: CrashLoop): void => {};
  const fleet = new Fleet({
    engine,
    app,
    root: directory.root,
    front,
    prepare: prepareRelease({
      engine,
      registry,
      directory,
      mappings,
      args,
      user,
      command,
      own: ownUser(),
    }),
    replicas,
    surge,
    health: {
      path: config.healthPath,
      proxyProtocol: config.proxyProtocol,
      timeoutMs: config.healthTimeoutMs,
    },
    redact: context.redactor(context.env, config.containerEnv),
    drainMs,
    stopTimeoutMs: config.stopTimeoutMs,
    onCrashLoop: (loop) => onCrashLoop(loop),
    stopping: signals.stop,
    clock,
    emit,
  });
  const store = stateFile(statePath(directory.root), emit);
  const tagOf = async (name: string): Promise<string | undefined> =>
    findRelease(await store.load(), name)?.tag;
  const onStarted = (tag: string): void => {
    if (bakeMs > 0) emit({ type: "containers-serving", tag, bakeMs });
  };
  const onProven = (tag: string): void =>
    emit({ type: "containers-deployed", tag, ready: fleet.ready, replicas });
  const check = ({ exposedPorts }: EngineImage): void =>
    front.check(containerPorts(mappings, exposedPorts));
  const supervision: Supervision = {
    adopt: async () => {
      await engine.forgetLogins();
      await front.openKnown();
      await openExposed(parts);
      await checkOwner(app, directory.root, engine, signals.stop);
      isOurs = true;
      await fleet.adopt();
    },
    begin: async (io: DeployContext) => {
      const { stop: signal } = signals;
      onCrashLoop = (loop) =>
        void fallBack(loop, { directory, runner: fleet, context: io, signal });
      const live = await directory.live();
      if (live === undefined) return;
      await fleet.ensureRunning({ tag: (await tagOf(live)) ?? "", directory: live });
    },
    restart: (signal) => fleet.restart(signal),
    end: () => {
      const { containers } = fleet;
      if (containers.length > 0) emit({ type: "containers-ending", containers, keep, drainMs });
      return fleet.stop({ keep: keep || !isOurs });
    },
  };
  const staging = { engine, registry, directory, app, check, clock, emit };
  return {
    deployer: supervisedDeployer({
      directory,
      stage: stageImage(staging),
      runner: fleet,
      bakeMs,
      tagOf,
      onStarted,
      onProven,
      prune: pruneImages({ engine, directory, app, emit }),
    }),
    supervision,
    status: () => ({
      tag: fleet.release?.tag,
      backends: front.backends(),
      isRunning: fleet.ready > 0,
      stateOf: (id) => fleet.stateOf(id),
    }),
  };
}

/** Where only the image says the port, the image of the last release says it at once. */
async function openExposed({ config, directory, front }: ContainerParts): Promise<void> {
  const live = await directory.live();
  if (config.mappings.length > 0 || live === undefined) return;
  const record = await readImageRecord(directory.path(live)).catch(() => undefined);
  if (record === undefined) return;
  try {
    await front.open(containerPorts([], record.exposedPorts));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
  }
}

function ownUser(): { uid: number; gid: number } | undefined {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}
