import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { type Dewy, liveVersion, until } from "../dewy.ts";
import type { LoadResult } from "./load.ts";
import { processesWith } from "./processes.ts";
import { type BadBehaviour, makeApp } from "./releases.ts";
import {
  deployed,
  expectNothingLost,
  expectOneGeneration,
  expectSameCounts,
  fullLoad,
  type ServedApp,
  serveApp,
  startTestLoad,
} from "./served_app.ts";
import { on, suite } from "./suite.ts";

/** An app is ready when its release has reported its version; an app that hangs never does. */
const READY = [
  "--ready-command",
  `grep -q '"version":"'$(cat current/version.txt)'"' "$APP_REPORT"`,
  "--health-timeout",
  "4s",
];
/**
 * The old generation never stops answering: no request may wait as long as a stop and a start would
 * take.
 */
const LONGEST_WAIT_MS = 2000;

/** The reason that dewy reports for each bad generation. */
const SOCKET_CASES: readonly (readonly [BadBehaviour, RegExp])[] = [
  ["exits-at-once", /exit code 3.*cannot read the configuration/],
  ["exits-after-3s", /exit code 1.*lost the database/],
  ["hangs", /not ready/],
  ["ignores-sigterm", /not ready/],
  ["forks-children", /exit code 1/],
  // On a busy machine it may still be writing at the timeout.
  ["floods-output", /(exit code 1|not ready).*flood/],
  ["not-executable", /not an executable file|ermission/],
  ["needs-library", /libdewymissing/],
  ["other-machine", /it was built for s390x/],
];
/** The quickest cases of each kind, for the covering set. */
const QUICK_CASES: ReadonlySet<BadBehaviour> = new Set([
  "exits-at-once",
  "ignores-sigterm",
  "forks-children",
  "not-executable",
  "sick",
]);
const PROXY_CASES: readonly (readonly [BadBehaviour, RegExp])[] = [
  ["sick", /not ready/],
  ["hangs", /not ready/],
  ["exits-at-once", /exit code 3.*cannot read the configuration/],
];

describe("dewy server", () => {
  it.each(on("Deno"))(
    "keeps the old generation answering on $name, whatever a new one does wrong with the shared socket",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await survive(app, SOCKET_CASES, READY);
    },
  );

  it.each(on("Node"))(
    "sends a generation that never becomes healthy no request through the proxy on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "port");
      await survive(app, PROXY_CASES, ["--health-timeout", "3s"]);
    },
  );

  it.each(on("Bun"))(
    "lets the old generation serve again if the new one fails during the overlap, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      const dewy = app.start(["--bake", "10s", "--overlap", "8s"]);
      await deployed(dewy, "v1.0.0");
      const [before] = await app.generations();
      const load = await startTestLoad(fullLoad(app));
      await app.publishBad("exits-after-3s", "v1.1.0");
      const bad = await remembered(app, dewy, "v1.1.0");
      expect(bad).toMatch(/exit code 1 after it had taken over.*lost the database/);
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      expect((await app.generations())[0]?.pid).toBe(before?.pid);
      const result = await load.stop();
      expectNothingLost(result, dewy.stderr());
      expectQuickAnswers(result, dewy);
      expect(result.versions.map(({ version }) => version)).toEqual(["v1.0.0"]);
      await stop(app, dewy);
      await expectSameCounts(app, result);
    },
  );

  it.each(on())(
    "rolls back to the previous version if the new one fails later in its bake, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      const dewy = app.start(["--bake", "10s", "--overlap", "0"]);
      await deployed(dewy, "v1.0.0");
      const load = await startTestLoad(fullLoad(app));
      await app.publishBad("exits-after-3s", "v1.1.0");
      await remembered(app, dewy, "v1.1.0");
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      const result = await load.stop();
      expectNothingLost(result, dewy.stderr());
      await stop(app, dewy);
      await expectSameCounts(app, result);
    },
  );

  it.each(on("Node"))(
    "deploys another version at once if the first one ever fails its bake, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      await app.publishBad("exits-after-3s", "v1.1.0");
      const dewy = app.start(["--bake", "10s", "-i", "1h"]);
      await deployed(dewy, "v1.0.0");
      expect(await remembered(app, dewy, "v1.1.0")).toMatch(/exit code 1/);
      await stop(app, dewy);
    },
  );

  it.each(on())(
    "rolls back to the old generation behind the proxy, which has kept running without connections, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "port");
      await app.publish("v1.0.0");
      const dewy = app.start(["--bake", "10s", "--overlap", "8s"]);
      await deployed(dewy, "v1.0.0");
      const [before] = await app.generations();
      await app.publishBad("dies-after-3s", "v1.1.0");
      expect(await remembered(app, dewy, "v1.1.0")).toMatch(/exit code 1.*lost the database/);
      const [target] = app.targets;
      const port = "port" in target ? target.port : 0;
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("v1.0.0");
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      expect((await app.generations())[0]?.pid).toBe(before?.pid);
      await stop(app, dewy);
    },
  );

  it.each(on())(
    "keeps serving if a manual restart fails, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      await writeFile(join(app.cwd, "env"), "");
      const dewy = app.start(["--overlap", "8s", "--env-file", "env"]);
      await deployed(dewy, "v1.0.0");
      const [before] = await app.generations();
      const load = await startTestLoad(fullLoad(app));
      await writeFile(join(app.cwd, "env"), "APP_DIES_AFTER=2000\n");
      dewy.child.kill("SIGHUP");
      await dewy.seen("the previous generation", ({ msg }) =>
        msg.startsWith("Restarted app failed"),
      );
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      expect((await app.generations())[0]?.pid).toBe(before?.pid);
      expectQuickAnswers(await load.stop(), dewy);
      await stop(app, dewy);
    },
  );

  it.each(on("Bun"))(
    "explains on $name what to do about an app that opens the port itself",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      const [target] = app.targets;
      const port = "port" in target ? String(target.port) : "";
      const dewy = app.start(READY, { APP_BIND: port });
      await deployed(dewy, "v1.0.0");
      await app.publisher.publish("v1.1.0", await makeApp("bind", "v1.1.0"));
      expect(await remembered(app, dewy, "v1.1.0")).toMatch(/--handoff proxy or --handoff none/);
      expect(await liveVersion(app.cwd)).toBe("v1.0.0");
    },
  );
});

/**
 * Publishes one bad version after another under load, and expects that v1.0.0 answers all of it.
 */
async function survive(
  app: ServedApp,
  all: readonly (readonly [BadBehaviour, RegExp])[],
  flags: readonly string[],
): Promise<void> {
  const cases = all.filter(([behaviour]) => suite !== "cover" || QUICK_CASES.has(behaviour));
  await app.publish("v1.0.0");
  const dewy = app.start(flags);
  await deployed(dewy, "v1.0.0");
  const load = await startTestLoad(fullLoad(app));
  for (const [index, [behaviour, reason]] of cases.entries()) {
    const tag = `v1.${index}.1`;
    await app.publishBad(behaviour, tag);
    expect(await remembered(app, dewy, tag), behaviour).toMatch(reason);
    // The polls after repeated failures back off.
    await until(
      () => dewy.lines().filter(({ msg }) => msg === "Poll succeeded again").length > index,
      () => `a poll after ${behaviour}\n${log(dewy)}`,
    );
    expect(await expectOneGeneration(app, () => `${behaviour}\n${log(dewy)}`)).toBe("v1.0.0");
    await until(
      async () => {
        const left = await processesWith("DEWY_TAG", tag);
        return left.every(({ env }) => env.APP_REPORT !== app.reportFile);
      },
      () => `the end of all processes of ${behaviour}\n${log(dewy)}`,
    );
  }
  const result = await load.stop();
  expectNothingLost(result, log(dewy));
  expect(result.versions.map(({ version }) => version)).toEqual(["v1.0.0"]);
  expectQuickAnswers(result, dewy);
  await stop(app, dewy);
  await expectSameCounts(app, result);
}

function expectQuickAnswers(result: LoadResult, dewy: Dewy): void {
  for (const lane of result.lanes.filter(({ name }) => !name.includes("in flight"))) {
    expect(lane.latency.max, `${lane.name}\n${log(dewy)}`).toBeLessThan(
      LONGEST_WAIT_MS + result.longestStallMs,
    );
  }
}

async function stop(app: ServedApp, dewy: Dewy): Promise<void> {
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), log(dewy)).toBe(0);
  expect(await app.generations()).toEqual([]);
}

/** Waits until a version is marked bad and rolled back, and returns the reason. */
async function remembered(app: ServedApp, dewy: Dewy, tag: string): Promise<string> {
  let reason: string | undefined;
  await until(
    async () => {
      const text = await readFile(join(app.cwd, ".dewy", "state.json"), "utf8");
      const { bad, switching }: DeployState = JSON.parse(text);
      reason = bad.find((version) => version.tag === tag)?.reason;
      // It is marked before the rollback, which ends the switch.
      return reason !== undefined && switching === undefined;
    },
    () => `${tag} among the bad versions, and a rollback\n${log(dewy)}`,
  );
  return reason ?? "";
}

/** The end of the log, for error messages: one app floods it. */
function log(dewy: Dewy): string {
  return dewy.stderr().slice(-10_000);
}
