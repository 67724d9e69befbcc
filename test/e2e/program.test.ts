import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { DeployState } from "../../src/deploy/state.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, startDewy } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";
import { killAllWith } from "./server/processes.ts";

const PROGRAM = "dewy-test-program";

it.each(cliRuntimes)(
  "waits for a program that is not in PATH yet, and marks no version bad, on $name",
  async ({ command }) => {
    const publisher = await filePublisher();
    const cwd = await tempDirectory();
    const bin = join(await tempDirectory(), "bin");
    await mkdir(bin);
    onTestFinished(() => killAllWith("TEST_OF_PROGRAM", bin));
    for (const tag of ["v1.0.0", "v1.1.0"]) {
      await publisher.publish(tag, await makeArtifact(tag));
    }
    const log = ["--log-level", "debug", "--log-format", "json"];
    const quick = ["-i", "1s", "--bake", "0", "--ready-after", "100ms"];
    const dewy = startDewy(
      command,
      ["server", "--registry", publisher.url, ...log, ...quick, "--", PROGRAM],
      { cwd, env: { PATH: `${bin}:${process.env.PATH}`, TEST_OF_PROGRAM: bin } },
    );
    const failure = await dewy.seen("a failure", ({ msg }) => msg === "Deploy failed");
    expect(failure.tag).toBe("v1.1.0");
    expect(failure.error).toBe(
      `Cannot deploy v1.1.0: Cannot start "${PROGRAM}": no directory in PATH contains a program with this name; install it, or specify its path`,
    );
    expect(dewy.stderr()).not.toContain(bin);
    expect(dewy.stderr() + dewy.stdout()).not.toContain("dewy-exec");
    await writeFile(join(bin, PROGRAM), "#!/bin/sh\nexec sleep 300\n");
    await chmod(join(bin, PROGRAM), 0o755);
    await dewy.seen("the deploy", ({ msg, tag }) => msg === "Deployed" && tag === "v1.1.0");
    expect(await liveVersion(cwd)).toBe("v1.1.0");
    const state: DeployState = JSON.parse(await readFile(join(cwd, ".dewy", "state.json"), "utf8"));
    expect(state.bad).toEqual([]);
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended(), dewy.stderr()).toBe(0);
  },
);
