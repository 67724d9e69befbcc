import { randomInt } from "node:crypto";
import { readdir, readFile, utimes } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT, runtimes } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, expectTidy, liveVersion, runDewy, startDewy } from "./dewy.ts";
import { filePublisher, type Publisher } from "./publishers.ts";

const LAST_OLD = [
  "resolved",
  "half a download",
  "downloaded",
  "before extraction",
  "after extraction",
  "extracted",
  "phase stage",
  "hook before",
  "phase before",
  "before activate",
];
const FIRST_NEW = [
  "after activate",
  "phase activate",
  "activated",
  "phase verify",
  "phase commit",
  "hook after",
  "deployed",
  "reported",
  "after prune",
];

const [node] = cliRuntimes;
const cli = node?.command ?? ["node"];

async function deployed(): Promise<{ publisher: Publisher; cwd: string; once: readonly string[] }> {
  const publisher = await filePublisher();
  const cwd = await tempDirectory();
  await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
  const once = ["assets", "--registry", publisher.url, "--once"];
  expect((await runDewy(cli, once, { cwd })).code).toBe(0);
  return { publisher, cwd, once };
}

/** A lock file that a killed dewy had not written yet is left alone while it might still be written. */
async function letMinutesPass(cwd: string): Promise<void> {
  const minutesAgo = new Date(Date.now() - 120_000);
  for (const name of await readdir(join(cwd, ".dewy"))) {
    if (name.endsWith(".tmp")) await utimes(join(cwd, ".dewy", name), minutesAgo, minutesAgo);
  }
}

describe("dewy killed by SIGKILL", () => {
  it.each([
    ...LAST_OLD.map((boundary) => [boundary, "v1.0.0"] as const),
    ...FIRST_NEW.map((boundary) => [boundary, "v1.1.0"] as const),
  ])(
    'at "%s" leaves %s whole, and the next start deploys v1.1.0 and tidies up',
    async (boundary, left) => {
      const { publisher, cwd, once } = await deployed();
      await publisher.publish("v1.1.0", await makeArtifact("v1.1.0", 3_000_000));
      const [runtime] = runtimes;
      const command = await runtime?.command(join(ROOT, "test/e2e/killed_agent.ts"));
      const env = { KILL_AT: boundary, REGISTRY: publisher.url };
      const killed = await runDewy(command ?? ["node"], [], { cwd, env });
      expect(killed).toMatchObject({ code: "SIGKILL" });
      expect(await liveVersion(cwd)).toBe(left);

      const next = await runDewy(cli, once, { cwd });
      expect(next.code, next.stderr).toBe(0);
      expect(await liveVersion(cwd)).toBe("v1.1.0");
      expect(
        JSON.parse(await readFile(join(cwd, ".dewy", "state.json"), "utf8")),
      ).not.toHaveProperty("switching");
      await expectTidy(cwd);
    },
  );

  it("at any moment leaves one whole version live", async () => {
    const { publisher, cwd, once } = await deployed();
    const slow = ["assets", "--registry", publisher.url, "--interval", "1s"];
    for (let patch = 0; patch < 6; patch++) {
      await publisher.publish(`v1.1.${patch}`, await makeArtifact(`v1.1.${patch}`, 2_000_000));
      const dewy = startDewy(cli, slow, { cwd });
      await new Promise((resolve) => setTimeout(resolve, randomInt(100, 700)));
      dewy.child.kill("SIGKILL");
      await dewy.ended();
      expect(await liveVersion(cwd)).toMatch(/^v1\./);
    }
    await letMinutesPass(cwd);
    expect((await runDewy(cli, once, { cwd })).code).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.1.5");
    await expectTidy(cwd);
  });

  it("during a download resumes it at the next start", async () => {
    const { publisher, cwd, once } = await deployed();
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0", 20_000_000));
    const [runtime] = runtimes;
    const command = await runtime?.command(join(ROOT, "test/e2e/killed_agent.ts"));
    await runDewy(command ?? ["node"], [], {
      cwd,
      env: { KILL_AT: "half a download", REGISTRY: publisher.url },
    });
    const next = await runDewy(cli, [...once, "--log-level", "debug", "--log-format", "json"], {
      cwd,
    });
    const downloaded = next.lines.find((line) => Number(line.resumed_from) > 0);
    expect(downloaded, next.stderr).toBeDefined();
  });
});
