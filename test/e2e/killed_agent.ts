/**
 * `dewy assets --once` that kills itself at the boundary in its environment: at an event, or before
 * or after a step. From outside, a real process cannot be stopped at these places.
 *
 * @module
 */
import { runAgent } from "../../src/agent/agent.ts";
import { redactor } from "../../src/agent/redactor.ts";
import type { AssetsConfig } from "../../src/cli/flags/assets.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { EventSink } from "../../src/core/event.ts";
import type { Deployer } from "../../src/deploy/deployer.ts";
import { assetsDeployer } from "../../src/deployers/assets.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { stageRelease } from "../../src/deployers/stage_release.ts";
import { cacheDirectory } from "../../src/host/download/cache_directory.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/mod.ts";
import { openProcess } from "../../src/host/process/io.ts";
import { loadRegistry } from "../../src/registries/load.ts";

const { KILL_AT = "", REGISTRY = "" } = process.env;

function dieAt(boundary: string): void {
  if (boundary === KILL_AT) process.kill(process.pid, "SIGKILL");
}

let hasDeployed = false;
const emit: EventSink = (event) => {
  hasDeployed ||= event.type === "deployed";
  dieAt(event.type === "phase" ? `phase ${event.phase}` : event.type);
  if (event.type === "hook") dieAt(`hook ${event.result.when}`);
};

/** Dies after half of the bytes. */
function deadlyStream(stream: ReadableStream<Uint8Array>, size = 0): ReadableStream<Uint8Array> {
  let received = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      received += chunk.length;
      if (received > size / 2) dieAt("half a download");
      controller.enqueue(chunk);
    },
  });
  return stream.pipeThrough(counter);
}

function deadly(deployer: Deployer): Deployer {
  return {
    ...deployer,
    activate: async (release, signal) => {
      dieAt("before activate");
      const undo = await deployer.activate(release, signal);
      dieAt("after activate");
      return undo;
    },
    prune: async (retention) => {
      const removed = await deployer.prune(retention);
      if (hasDeployed) dieAt("after prune");
      return removed;
    },
  };
}

const io = openProcess();
const hostIo = await createHostIo({ env: io.env, emit });
const config: AssetsConfig = {
  command: "assets",
  registry: REGISTRY,
  slot: undefined,
  cache: undefined,
  fleet: undefined,
  calver: undefined,
  logLevel: undefined,
  logFormat: undefined,
  caFile: undefined,
  directory: ".",
  intervalMs: 1000,
  once: true,
  beforeDeployHook: "true",
  afterDeployHook: "true",
  hookTimeoutMs: 10_000,
  notifiers: [],
  notifierFiles: [],
  telemetry: undefined,
  admin: undefined,
  maxArtifactSize: 2 ** 30,
  maxExpandedSize: 2 ** 30,
  retryBad: false,
  acceptChanged: [],
  name: undefined,
  dryRun: false,
  windows: [],
  minAgeMs: 0,
  noDowngrade: false,
  verify: [],
  trustedRoot: undefined,
  confirmMajor: false,
  maxStalenessMs: undefined,
  webhooks: undefined,
};
const { registry, locator } = await loadRegistry(REGISTRY, {
  ...hostIo,
  registries: hostRegistries,
});
const directory = await openReleaseDirectory(config.directory);
const stage = stageRelease({
  registry: {
    ...registry,
    open: async (artifact, options) =>
      deadlyStream(await registry.open(artifact, options), artifact.size),
  },
  directory: {
    ...directory,
    create: (now, fill) =>
      directory.create(now, async (path, name) => {
        dieAt("before extraction");
        await fill(path, name);
        dieAt("after extraction");
      }),
  },
  downloads: () => cacheDirectory(directory.root, undefined),
  maxArtifactBytes: config.maxArtifactSize,
  maxExpandedBytes: config.maxExpandedSize,
  clock: systemClock,
  emit,
});
const deployer = deadly(assetsDeployer(directory, stage));
process.exitCode = await runAgent(
  { config, root: directory.root, registry, locator, deployer, verify: { mode: "auto" } },
  {
    ...io,
    clock: systemClock,
    fetch: hostIo.fetch,
    emit,
    io: hostIo,
    registries: hostRegistries,
    notifiers: {},
    caches: {},
    redactor,
    version: "test",
  },
);
