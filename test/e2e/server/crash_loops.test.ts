import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { liveVersion, until } from "../dewy.ts";
import { deployed, expectOneGeneration, serveApp, stateOf } from "./served_app.ts";
import { on } from "./suite.ts";

/** A hook that runs, for v1.2.0 only, until the file `go` exists. */
const HELD = `[ "$DEWY_TAG" != v1.2.0 ] || { touch here; while [ ! -e go ]; do sleep 0.1; done; }`;

describe("dewy server", () => {
  it.each(on("Node"))(
    "rolls back at the fifth crash while a hook of the next version runs, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const app = await serveApp(runtime, "node");
      await app.publish("v1.0.0");
      const dewy = app.start(["--before-deploy-hook", HELD]);
      await deployed(dewy, "v1.0.0");
      await app.publishBad("crash-loops", "v1.1.0");
      await deployed(dewy, "v1.1.0");
      await app.publish("v1.2.0");
      await until(() => exists(join(app.cwd, "here")), dewy.stderr);
      await writeFile(join(app.cwd, "crash"), "");
      await dewy.seen("the rollback", ({ msg, tag }) => msg === "Rolled back" && tag === "v1.1.0");
      expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.0.0");
      expect((await stateOf(app)).bad.map(({ tag }) => tag)).toEqual(["v1.1.0"]);

      await writeFile(join(app.cwd, "go"), "");
      await deployed(dewy, "v1.2.0");
      expect(await liveVersion(app.cwd)).toBe("v1.2.0");
      const { previous, releases } = await stateOf(app);
      expect(releases.find(({ directory }) => directory === previous)?.tag).toBe("v1.0.0");
    },
  );
});

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
