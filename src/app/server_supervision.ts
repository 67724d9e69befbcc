import type { Deployer, DeployIo } from "../deploy/deployer.ts";
import { findRelease } from "../deploy/state.ts";
import { fallBack } from "../deployers/fall_back.ts";
import type { ReleaseDirectory } from "../deployers/release_directory.ts";
import type { AppRelease } from "../deployers/runner.ts";
import type { Handoff } from "../deployers/server/handoff.ts";
import type { ReadinessOptions } from "../deployers/server/readiness.ts";
import type { Endable } from "../deployers/server/retire.ts";
import { type AppOptions, appStarter, appVariables } from "../deployers/server/start_app.ts";
import { Supervisor } from "../deployers/server/supervisor.ts";
import type { StageRelease } from "../deployers/stage_release.ts";
import { supervisedDeployer } from "../deployers/supervised_deployer.ts";
import { run } from "../host/process.ts";
import { stateFile } from "../host/state_file.ts";
import { type Supervision, statePath } from "./agent.ts";
import type { ServerConfig } from "./server_config.ts";
import type { World } from "./world.ts";

/** What {@link superviseServer} puts together. */
export interface ServerParts {
  config: ServerConfig;
  directory: ReleaseDirectory;
  stage: StageRelease;
  handoff: Handoff;
  app: AppOptions;
  /** Generations of an earlier dewy, which end once there is one of ours. */
  orphans: readonly Endable[];
}

/**
 * Puts the supervisor between the deploy sequence and the app.
 *
 * @param parts the parts.
 * @param world the world.
 * @returns the deployer, and what the agent does beside polling.
 */
export function superviseServer(
  parts: ServerParts,
  world: World,
): { deployer: Deployer; supervision: Supervision } {
  const { config, directory, stage, handoff, app, orphans } = parts;
  const { clock, emit } = world;
  let onCrashLoop = (_release: AppRelease, _reason: string): void => {};
  const supervisor = new Supervisor({
    start: appStarter(app),
    handoff,
    readiness: readinessOf(config, app),
    signalOnTerm: config.signalOnTerm,
    drainMs: config.drainTimeMs,
    restart: config.restart,
    onCrashLoop: (release, reason) => onCrashLoop(release, reason),
    clock,
    emit,
  });
  const store = stateFile(statePath(directory.root), emit);
  const tagOf = async (name: string): Promise<string | undefined> =>
    findRelease(await store.load(), name)?.tag;
  const onStarted = (tag: string, restarted: boolean): void => {
    const running = supervisor.running;
    if (running === undefined) return;
    const withPort = config.ports.length > 0;
    emit({ type: "server-started", tag, restarted, withPort, ...running });
  };
  const startLive = async (): Promise<void> => {
    const live = await directory.live();
    if (live === undefined || !supervisor.mustRun(live)) return;
    const tag = (await tagOf(live)) ?? "";
    await supervisor.insist({ tag, directory: live });
    onStarted(tag, orphans.length > 0);
  };
  const supervision: Supervision = {
    begin: async (io: DeployIo, exclusively) => {
      onCrashLoop = (release, reason) => {
        void exclusively(() => fallBack(release, reason, { directory, runner: supervisor, io }));
      };
      await startLive();
      supervisor.retireOrphans(orphans);
    },
    restart: async (signal) => {
      emit({ type: "app-restart", signal });
      await supervisor.restart();
    },
    end: () => supervisor.stop(),
  };
  const { bakeMs } = config;
  return {
    deployer: supervisedDeployer({
      directory,
      stage,
      runner: supervisor,
      bakeMs,
      tagOf,
      onStarted,
    }),
    supervision,
  };
}

function readinessOf(config: ServerConfig, app: AppOptions): ReadinessOptions {
  const { readyAfterMs: afterMs, healthTimeoutMs: timeoutMs, readyCommand } = config;
  const { clock } = app;
  if (readyCommand === undefined) return { afterMs, timeoutMs, clock };
  const command: ReadinessOptions["command"] = async ({ release, number, place }, signal) => {
    const env = await appVariables(release, number, place, app);
    const shell = ["/bin/sh", "-c", readyCommand] as const;
    return (await run({ command: shell, cwd: app.root, env, timeoutMs, signal })).exitCode;
  };
  return { afterMs, timeoutMs, clock, command };
}
