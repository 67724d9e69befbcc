import { type Supervision, statePath } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import type { DeployContext, Deployer } from "../deploy/deployer.ts";
import { findRelease } from "../deploy/state.ts";
import { fallBack } from "../deployers/fall_back.ts";
import type { ReleaseDirectory } from "../deployers/release_directory.ts";
import type { CrashLoop } from "../deployers/runner.ts";
import type { StageRelease } from "../deployers/stage_release.ts";
import { supervisedDeployer } from "../deployers/supervised_deployer.ts";
import { stateFile } from "../host/files/state_file.ts";
import { run } from "../host/process/run.ts";
import type { ServerConfig } from "./config.ts";
import type { OpenHandoff } from "./handoff.ts";
import type { Orphan } from "./supervisor/orphans.ts";
import type { ReadinessOptions } from "./supervisor/readiness.ts";
import { type AppOptions, appStarter, appVariables } from "./supervisor/start_app.ts";
import { Supervisor } from "./supervisor/supervisor.ts";

/** Connects the supervisor to the deploy sequence and the agent. */
export function superviseServer(
  parts: OpenHandoff & {
    config: ServerConfig;
    directory: ReleaseDirectory;
    stage: StageRelease;
    app: AppOptions;
    orphans: readonly Orphan[];
  },
  context: CommandContext,
): { deployer: Deployer; supervision: Supervision } {
  const { config, directory, stage, handoff, proxies, healthChecks, withPort, app, orphans } =
    parts;
  const { clock, emit } = context;
  let onCrashLoop = (_loop: CrashLoop): void => {};
  const supervisor = new Supervisor({
    start: appStarter(app),
    handoff,
    readiness: readinessOf(config, app),
    signalOnTerm: config.signalOnTerm,
    overlapMs: config.overlapMs,
    drainMs: config.drainTimeMs,
    restart: config.restart,
    onCrashLoop: (loop) => onCrashLoop(loop),
    stopping: context.signals.stop,
    clock,
    emit,
  });
  supervisor.adopt(orphans);
  const store = stateFile(statePath(directory.root), emit);
  const tagOf = async (name: string): Promise<string | undefined> =>
    findRelease(await store.load(), name)?.tag;
  const onStarted = (tag: string, restarted: boolean): void => {
    const running = supervisor.running;
    if (running === undefined) return;
    emit({ type: "server-started", tag, restarted, withPort, ...running });
  };
  const startLive = async (): Promise<void> => {
    const live = await directory.live();
    if (live === undefined || !supervisor.mustRun(live)) return;
    const tag = (await tagOf(live)) ?? "";
    await supervisor.ensureRunning({ tag, directory: live });
    onStarted(tag, orphans.length > 0);
  };
  const supervision: Supervision = {
    begin: async (deploy: DeployContext) => {
      const { stop: signal } = context.signals;
      onCrashLoop = (loop) =>
        void fallBack(loop, { directory, runner: supervisor, context: deploy, signal });
      await startLive();
    },
    restart: (by, signal) => supervisor.restart(by, signal),
    appStatus: () => supervisor.report(),
    lastLines: async () => supervisor.lastLines(),
    measure: () => ({
      proxies: proxies.map((proxy) => proxy.stats()),
      healthChecks: { ...healthChecks },
    }),
    observeProxy: (observer) => {
      for (const proxy of proxies) proxy.observe(observer);
    },
    end: () => {
      // If dewy itself has failed, the orphans keep serving.
      if (context.signals.stoppedBy() !== undefined) supervisor.stopOrphans();
      return supervisor.stop();
    },
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
  const mayFinish = config.restart === "on-failure" && config.handoff !== "proxy";
  if (readyCommand === undefined) return { afterMs, timeoutMs, mayFinish, clock };
  const command: ReadinessOptions["command"] = async (generation, signal) => {
    const env = await appVariables(generation, app);
    const shell = ["/bin/sh", "-c", readyCommand] as const;
    return (await run({ command: shell, cwd: app.root, env, timeoutMs, signal })).exitCode;
  };
  return { afterMs, timeoutMs, mayFinish, clock, command };
}
