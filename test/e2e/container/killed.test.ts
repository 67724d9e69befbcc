import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { ROOT } from "../../runtime/runtimes.ts";
import { type CliRuntime, cliRuntimes, type Dewy, startDewy, until } from "../dewy.ts";
import type { LoadResult } from "../server/load.ts";
import { deployed, expectNothingLost, startTestLoad } from "../server/served_app.ts";
import { lanes, type RunningLoad } from "../server/start_load.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const REPLICAS = 3;
const NEW = "v1.1.0";
const missing =
  missingEngine("docker") ?? missingDockerRegistry() ?? missingPeer(["python3"], "python3");
const isSoak = process.env.DEWY_SOAK === "1";
const RESTARTS = isSoak ? 20 : 3;

/** A step of an update at which dewy is killed. */
interface Step {
  name: string;
  flags?: readonly string[];
  /** Whether the normal run has this step; `npm run soak` has all. */
  isUsual?: boolean;
  /** Resolves when dewy is there. */
  reached(app: ServedContainers, dewy: Dewy): Promise<unknown>;
}

/** Waits during the new version until the file `go` exists. */
const HOLD = '[ "$DEWY_TAG" = v1.0.0 ] || { touch here; while [ ! -e go ]; do sleep 0.1; done; }';
const here = ({ directory }: ServedContainers, dewy: Dewy): Promise<void> =>
  until(
    () =>
      access(join(directory, "here")).then(
        () => true,
        () => false,
      ),
    dewy.stderr,
  );
const ready =
  (count: number) =>
  (_: ServedContainers, dewy: Dewy): Promise<void> =>
    until(
      () =>
        dewy.lines().filter(({ msg, tag }) => msg === "Container ready" && tag === NEW).length >=
        count,
      dewy.stderr,
    );

const STEPS: readonly Step[] = [
  {
    name: "while the image is pulled",
    reached: (_, dewy) =>
      dewy.seen("the pull", ({ msg, tag }) => msg === "Pulling image" && tag === NEW),
  },
  { name: "before the first change", flags: ["--before-deploy-hook", HOLD], reached: here },
  {
    name: "while the first new container starts",
    isUsual: true,
    reached: (app, dewy) =>
      until(async () => (await app.containers()).some(({ tag }) => tag === NEW), dewy.stderr),
  },
  { name: "after the first new container", isUsual: true, reached: ready(1) },
  { name: "after the second new container", reached: ready(2) },
  { name: "during the bake", isUsual: true, flags: ["--bake", "10s"], reached: ready(REPLICAS) },
  { name: "after the bake", flags: ["--after-deploy-hook", HOLD], reached: here },
];

describe.skipIf(missing !== undefined)(missing ?? "SIGKILL of dewy container", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  describe.each(isSoak ? cliRuntimes : cliRuntimes.slice(0, 1))("on $name", (runtime) => {
    it.each(isSoak ? STEPS : STEPS.filter(({ isUsual }) => isUsual))(
      "$name: the containers keep serving, and the next dewy finishes the update without loss",
      { timeout: 180_000 },
      async ({ flags = [], reached }) => {
        const app = await serveContainers(peers, runtime);
        const all = ["--replicas", String(REPLICAS), ...flags];
        await app.publish("v1.0.0");
        const killed = app.start(all);
        await deployed(killed, "v1.0.0");
        await app.publish(NEW, { env: { START_DELAY: "500" } });
        await reached(app, killed);
        killed.child.kill("SIGKILL");
        await killed.ended();
        expect((await app.running()).length).toBeGreaterThanOrEqual(REPLICAS);
        await writeFile(join(app.directory, "go"), "");
        const dewy = app.start(all);
        const load = await startedWhenOpen(app, dewy);
        await until(
          async () => (await app.running()).join() === [NEW, NEW, NEW].join(),
          () => dewy.stderr(),
        );
        await dewy.seen("the adoption", ({ msg }) => /adopted|taken over|found/i.test(msg));
        expectNothingLost(await load.stop(), `${killed.stderr()}\n---\n${dewy.stderr()}`);
        dewy.child.kill("SIGTERM");
        expect(await dewy.ended(), dewy.stderr()).toBe(0);
        expect(await app.containers()).toEqual([]);
      },
    );

    it(`loses only open connections and those during the gap (${RESTARTS} times)`, {
      timeout: 120_000,
    }, async () => {
      const app = await serveContainers(peers, runtime);
      await app.publish("v1.0.0");
      let dewy = app.start(["--replicas", "2"]);
      await deployed(dewy, "v1.0.0");
      const load = await startFullLoad(app);
      const gaps: Gap[] = [];
      for (let restart = 0; restart < RESTARTS; restart += 1) {
        const from = Date.now();
        dewy.child.kill("SIGKILL");
        await dewy.ended();
        dewy = app.start(["--replicas", "2"]);
        await untilAnswered(app, dewy);
        gaps.push({ from, to: Date.now() });
      }
      const result = await load.stop();
      expect(failedOutside(gaps, result), JSON.stringify(gaps)).toEqual([]);
      expect(await app.running()).toEqual(["v1.0.0", "v1.0.0"]);
      printFigures("SIGKILL", result, gaps);
    });

    it(`loses only open connections with an inherited socket (${RESTARTS} times)`, {
      timeout: 120_000,
    }, async () => {
      const { app, dewy, pids } = await startHeld(peers, runtime);
      const load = await startFullLoad(app);
      const gaps: Gap[] = [];
      for (let restart = 1; restart <= RESTARTS; restart += 1) {
        const from = Date.now();
        process.kill(pids().at(-1) ?? 0, "SIGKILL");
        await untilAnswered(app, dewy);
        gaps.push({ from, to: Date.now() });
      }
      const result = await load.stop();
      expect(pids()).toHaveLength(RESTARTS + 1);
      expect(failedOutside(gaps, result), JSON.stringify(gaps)).toEqual([]);
      expect(Object.keys(result.total.reasons)).not.toContain("ECONNREFUSED");
      printFigures("SIGKILL with an inherited socket", result, gaps);
    });
  });
});

describe.skipIf(missing !== undefined)(missing ?? "SIGTERM of dewy container", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  describe.each(isSoak ? cliRuntimes : cliRuntimes.slice(0, 1))("on $name", (runtime) => {
    it(`loses nothing with an inherited socket and --keep-containers (${RESTARTS} times)`, {
      timeout: 120_000,
    }, async () => {
      const { app, dewy, pids } = await startHeld(peers, runtime, ["--keep-containers"]);
      const before = (await app.containers()).map(({ id }) => id).sort();
      const load = await startFullLoad(app);
      for (let restart = 1; restart <= RESTARTS; restart += 1) {
        process.kill(pids().at(-1) ?? 0, "SIGTERM");
        await until(() => pids().length > restart, dewy.stderr);
        await untilAnswered(app, dewy);
      }
      const result = await load.stop();
      expectNothingLost(result, dewy.stderr());
      expect((await app.containers()).map(({ id }) => id).sort()).toEqual(before);
      printFigures("SIGTERM with an inherited socket", result, []);
    });
  });
});

interface Gap {
  from: number;
  to: number;
}

/** A dewy that is restarted with the same listening socket when it exits. */
interface HeldDewy {
  app: ServedContainers;
  /** The process that holds the socket. */
  dewy: Dewy;
  /** The PIDs of all dewy processes so far. */
  pids(): readonly number[];
}

async function startHeld(
  peers: ContainerPeers,
  runtime: CliRuntime,
  flags: readonly string[] = [],
): Promise<HeldDewy> {
  const app = await serveContainers(peers, runtime);
  await app.publish("v1.0.0");
  const { argv, env } = app.command(["--replicas", "2", ...flags]);
  const script = join(ROOT, "test/e2e/container/hold_socket.py");
  const options = { cwd: app.root, env };
  const dewy = startDewy(["python3", script, String(app.port)], argv, options);
  const pids = (): readonly number[] => dewy.stdout().trim().split("\n").map(Number);
  onTestFinished(async () => {
    dewy.child.kill("SIGKILL");
    const last = pids().at(-1);
    if (last) process.kill(last, "SIGKILL");
    // Its outputs are closed when the last process has ended, which could still write files.
    await dewy.ended();
  });
  await deployed(dewy, "v1.0.0");
  return { app, dewy, pids };
}

/** Connections of all kinds; the slow ones are in flight at any moment. */
function startFullLoad({ port }: ServedContainers): Promise<RunningLoad> {
  const target = { host: "127.0.0.1", port };
  return startTestLoad([
    lanes.keepAlive(target, 1),
    lanes.perRequest(target, 1),
    { ...lanes.slow(target), path: "/slow?2000", workers: 2 },
    lanes.upload(target, 8 * 1024 * 1024),
  ]);
}

async function startedWhenOpen(app: ServedContainers, dewy: Dewy): Promise<RunningLoad> {
  await untilAnswered(app, dewy);
  const load = await startFullLoad(app);
  await until(() => load.versions().length > 0, dewy.stderr);
  return load;
}

/** Resolves when a new request is answered: the restart is complete. */
async function untilAnswered({ port }: ServedContainers, dewy: Dewy): Promise<void> {
  const answers = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } }).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(answers, dewy.stderr);
}

/**
 * Returns the failures outside the gaps. A request that began before a gap may fail late, or its
 * client may notice it late.
 */
function failedOutside(
  gaps: readonly Gap[],
  { samples, longestStallMs }: LoadResult,
): LoadResult["samples"] {
  const lateMs = 500 + longestStallMs;
  return samples.filter(({ at }) => !gaps.some(({ from, to }) => from <= at && at <= to + lateMs));
}

/** The figures of docs/container.md. */
function printFigures(what: string, { total, ms }: LoadResult, gaps: readonly Gap[]): void {
  if (!isSoak) return;
  const { sent, answered, reasons } = total;
  const listenedAfterMs = gaps.map(({ from, to }) => to - from);
  console.log(JSON.stringify({ what, sent, answered, reasons, listenedAfterMs, ms }));
}
