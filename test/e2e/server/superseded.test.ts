import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CliRuntime, type Dewy, until } from "../dewy.ts";
import {
  deployed,
  expectNothingLost,
  expectOneGeneration,
  fullLoad,
  type ServedApp,
  serveApp,
  startTestLoad,
  stateOf,
} from "./served_app.ts";
import { on } from "./suite.ts";

/** Longer than any test waits. */
const LONG_BAKE = ["--bake", "10m"];

describe("dewy server", () => {
  it.each(on("Node"))(
    "lets a newer version take over from a baking one, without losing a request, on $name",
    { timeout: 180_000 },
    async (runtime) => {
      const { app, dewy } = await baking(runtime);
      const load = await startTestLoad(fullLoad(app));
      await app.publish("v1.2.0");
      await ready(dewy, "v1.2.0");
      await dewy.seen("the end of the bake", ({ msg, tag }) => {
        return msg === "Version superseded" && tag === "v1.1.0";
      });
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.2.0");
      expectNothingLost(await load.stop(), dewy.stderr());
      const { bad, switching, releases } = await stateOf(app);
      const tagOf = (name = ""): string | undefined =>
        releases.find(({ directory }) => directory === name)?.tag;
      expect(bad).toEqual([]);
      expect([tagOf(switching?.to), tagOf(switching?.from)]).toEqual(["v1.2.0", "v1.0.0"]);
      expect(dewy.lines().filter(({ msg }) => msg === "Deployed")).toEqual([]);
    },
  );

  it.each(on("Bun"))(
    "rolls back from a failed version to the last version that passed its bake, on $name",
    { timeout: 180_000 },
    async (runtime) => {
      const { app, dewy } = await baking(runtime);
      await app.publishBad("exits-after-3s", "v1.2.0");
      const line = await dewy.seen("the rollback", ({ msg }) => msg === "Rolled back");
      expect(line).toMatchObject({ tag: "v1.2.0", to: "v1.0.0" });
      // It has not failed, and is the newest version that is not bad.
      await dewy.seen("v1.1.0 again", () => {
        return dewy.lines().filter(isReady("v1.1.0")).length === 2;
      });
    },
  );

  it.each(on("Bun"))(
    "runs the hooks of two versions one at a time, on $name",
    { timeout: 180_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      const note = (what: string): string => `echo ${what} $DEWY_TAG >> hooks`;
      const held = `${note("after")}; while [ ! -e go ]; do sleep 0.1; done; ${note("done")}`;
      await app.publish("v1.0.0");
      const dewy = app.start(["--before-deploy-hook", note("before"), "--after-deploy-hook", held]);
      const hooks = (): Promise<string> => readFile(join(app.cwd, "hooks"), "utf8").catch(() => "");
      await until(async () => (await hooks()).includes("after v1.0.0"), dewy.stderr);
      await app.publish("v1.1.0");
      await dewy.seen("the next version", ({ msg, tag }) => {
        return msg === "Archive extracted" && tag === "v1.1.0";
      });
      await writeFile(join(app.cwd, "go"), "");
      await deployed(dewy, "v1.1.0");
      expect((await hooks()).trim().split("\n")).toEqual(
        ["v1.0.0", "v1.1.0"].flatMap((tag) =>
          ["before", "after", "done"].map((what) => `${what} ${tag}`),
        ),
      );
    },
  );

  it.each(on("Deno"))(
    "continues after SIGKILL with the version that has superseded another, on $name",
    { timeout: 180_000 },
    async (runtime) => {
      const { app, dewy } = await baking(runtime);
      await app.publish("v1.2.0");
      await ready(dewy, "v1.2.0");
      dewy.child.kill("SIGKILL");
      const again = app.start();
      await deployed(again, "v1.2.0");
      expect(await expectOneGeneration(app, again.stderr)).toBe("v1.2.0");
      const { previous, releases } = await stateOf(app);
      expect(releases.find(({ directory }) => directory === previous)?.tag).toBe("v1.0.0");
    },
  );
});

/** Runs v1.0.0, whose bake has ended, and then v1.1.0, whose bake does not end. */
async function baking(runtime: CliRuntime): Promise<{ app: ServedApp; dewy: Dewy }> {
  const app = await serveApp(runtime, "node");
  await app.publish("v1.0.0");
  const first = app.start();
  await deployed(first, "v1.0.0");
  first.child.kill("SIGTERM");
  await first.ended();
  await app.publish("v1.1.0");
  const dewy = app.start(LONG_BAKE);
  await ready(dewy, "v1.1.0");
  return { app, dewy };
}

const isReady =
  (version: string) =>
  ({ msg, tag }: { msg: string; tag?: unknown }): boolean =>
    msg === "App ready" && tag === version;

async function ready(dewy: Dewy, version: string): Promise<void> {
  await dewy.seen(`${version} ready`, isReady(version));
}
