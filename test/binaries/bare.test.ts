import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { ARTIFACT } from "../e2e/archive.ts";
import { runDewy, startDewy, until } from "../e2e/dewy.ts";
import { makeApp } from "../e2e/server/releases.ts";
import { freePort } from "../peers/ports.ts";
import { type BareRoot, bareRoot, missingBareRoot } from "./bare_root.ts";
import { BINARY, HERE } from "./build.ts";

const missing = missingBareRoot();
const REGISTRY = "/srv/registry";

describe.skipIf(missing !== undefined)(
  `the single binary without any runtime${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    const run = (root: BareRoot, ...args: string[]) =>
      runDewy(root.dewy(), args, { cwd: root.directory });

    test("says which build it is", async () => {
      const { code, stdout } = await run(await bareRoot(BINARY), "--version");
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: expect.stringMatching(
          new RegExp(`^dewy version: ${manifest.version} .*${HERE}\\]`),
        ),
      });
    });

    test("checks a registry", async () => {
      const root = await bareRoot(BINARY);
      await publish(root, "v1.0.0");
      const { code, stdout, stderr } = await run(root, "check", `file://${REGISTRY}`);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^version +v1\.0\.0$/m);
    });

    test("serves an app, and switches it to the next version", async () => {
      const root = await bareRoot(BINARY);
      const port = await freePort();
      await mkdir(join(root.directory, "opt/app"), { recursive: true });
      await publish(root, "v1.0.0");
      const dewy = startDewy(
        root.dewy(),
        [
          ...["server", "--registry", `file://${REGISTRY}`, "--port", `127.0.0.1:${port}`],
          ...["-i", "1s", "--bake", "500ms", "--log-format", "json"],
          ...["--", "/opt/app/current/bin/app"],
        ],
        { cwd: root.directory },
      );
      onTestFinished(() => void dewy.child.kill("SIGTERM"));
      const answers = (version: string) =>
        until(
          async () => (await ask(port)) === version,
          () => `${version}; log:\n${dewy.stderr()}`,
        );
      await answers("v1.0.0");
      await publish(root, "v1.1.0");
      await answers("v1.1.0");
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended()).toBe(0);
    });
  },
);

async function publish(root: BareRoot, tag: string): Promise<void> {
  const directory = join(root.directory, REGISTRY, tag);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, ".new"), await makeApp("c-server-starter", tag));
  await rename(join(directory, ".new"), join(directory, ARTIFACT));
}

/** Returns an empty text while nothing listens. */
async function ask(port: number): Promise<string> {
  const headers = { connection: "close" };
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers }).catch(() => undefined);
  return (await response?.text()) ?? "";
}
