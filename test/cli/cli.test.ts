import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { hostPlatform } from "../../src/host/platform.ts";
import { cliRuntimes, runDewy, startDewy, until } from "../e2e/dewy.ts";
import { serveFetch } from "../fakes/serve.ts";
import { run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";

async function publishArchive(directory: string, tag: string): Promise<void> {
  const name = `app_${hostPlatform().os}_${hostPlatform().arch}.tar`;
  const files = await tempDirectory();
  await writeFile(join(files, "index.html"), tag);
  await run("tar", ["-cf", join(files, name), "-C", files, "index.html"]);
  await mkdir(join(directory, tag));
  await rename(join(files, name), join(directory, tag, name));
}

const STOP_SIGNALS = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const;
const TAGS = 800;
/** A registry whose list of tags is longer than a pipe, which holds 64 KiB. */
let longList = "";
beforeAll(async () => {
  longList = await mkdtemp(join(tmpdir(), "dewy-long-list-"));
  const names = Array.from({ length: TAGS }, (_, patch) => `v1.0.${patch}-${"x".repeat(120)}`);
  await Promise.all([...names, "v1.0.0"].map((name) => mkdir(join(longList, name))));
  await writeFile(join(longList, "v1.0.0", "app_linux_amd64.tar.gz"), "bytes");
});
afterAll(() => rm(longList, { recursive: true }));

// A process of its own: no test of functions can see signals, pipes and exit codes.
describe.each(cliRuntimes)("dewy on $name", ({ name, command }) => {
  test("prints its version, and what the build was made of, on standard output", async () => {
    const cwd = await tempDirectory();
    const { code, stdout, stderr } = await runDewy(command, ["--version"], { cwd });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [, version, stamp] = /^dewy version: (\S+)(?: \[(.*)\])?\n$/.exec(stdout) ?? [];
    expect(version).toBe(manifest.version);
    // Only the package is built, and only from a clone is it known what it was built from.
    if (stamp !== undefined) expect(stamp).toMatch(/^[0-9a-f]{7}, \d{4}-\d{2}-\d{2}T\S+$/);
  });

  test("prints errors on standard error, and exits with their code", async () => {
    const cwd = await tempDirectory();
    expect(await runDewy(command, ["assets", "--intervall", "5"], { cwd })).toMatchObject({
      code: 1,
      stdout: "",
      stderr:
        "Error: unknown flag --intervall; did you mean --interval?\nSee: dewy assets --help\n",
    });
    expect((await runDewy(command, ["check", `file://${cwd}`], { cwd })).code).toBe(2);
  });

  test("exits only when a slow reader has received everything", async () => {
    const line = [...command, "explain", `file://${longList}`].map((word) => `'${word}'`).join(" ");
    // The reader begins when dewy can write no more.
    const { stdout } = await run("bash", ["-c", `${line} | (sleep 0.3; cat)`]);
    expect(stdout).toContain(`\ntags (${TAGS + 1})\n`);
    expect(stdout).toContain("\nanswer\n");
  });

  test("exits quietly when its output is closed early", async () => {
    const line = [...command, "explain", `file://${longList}`].map((word) => `'${word}'`).join(" ");
    const { code, stderr } = await run("bash", ["-c", `set -o pipefail; ${line} | head -n 1`]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("keeps running when its log is closed", async () => {
    const cwd = await tempDirectory();
    const releases = join(cwd, "empty");
    await mkdir(releases);
    const args = ["assets", "--registry", `file://${releases}`, "--interval", "1s"];
    const options = ["--log-level", "debug", "--log-format", "json"];
    const dewy = startDewy(command, [...args, ...options], { cwd });
    await dewy.seen("the first poll", ({ msg }) => msg === "Poll failed");
    dewy.child.stderr?.destroy();
    for (let count = 0; count < 3; count += 1) dewy.child.kill("SIGUSR1");
    await publishArchive(releases, "v1.0.0");
    await until(
      () => existsSync(join(cwd, "current", "index.html")),
      () => "the deploy",
    );
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });

  test("polls at once on SIGUSR1 and SIGHUP, and stops in order on SIGTERM", async () => {
    const cwd = await tempDirectory();
    const args = ["assets", "--registry", `file://${join(cwd, "releases-to-come")}`];
    await mkdir(join(cwd, "releases-to-come"));
    const options = ["--interval", "1h", "--log-level", "debug", "--log-format", "json"];
    const dewy = startDewy(command, [...args, ...options], { cwd });
    const rounds = (): number => dewy.lines().filter(({ msg }) => msg === "Poll failed").length;
    await until(
      () => rounds() === 1,
      () => `the first poll: ${dewy.stderr()}`,
    );
    for (const [index, signal] of (["SIGUSR1", "SIGHUP"] as const).entries()) {
      dewy.child.kill(signal);
      await until(
        () => rounds() === index + 2,
        () => `a poll on ${signal}: ${dewy.stderr()}`,
      );
    }
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    expect(dewy.lines().at(-1)).toMatchObject({ msg: "Dewy stopping", signal: "SIGTERM" });
  });

  test.each(STOP_SIGNALS.slice(0, name.startsWith("Node") ? 2 : 1))(
    "waits for a silent notifier until a second %s ends it at once",
    async (signal, code) => {
      const cwd = await tempDirectory();
      const slack = await serveFetch(() => new Promise(() => {}));
      onTestFinished(slack.close);
      const registry = join(cwd, "empty");
      await mkdir(registry);
      const args = ["assets", "--registry", `file://${registry}`, "--notifier", "slack://deploy"];
      const options = ["--interval", "1h", "--log-level", "info", "--log-format", "json"];
      const env = { SLACK_TOKEN: "t", SLACK_API_URL: slack.url };
      const dewy = startDewy(command, [...args, ...options], { cwd, env });
      await dewy.seen("the first poll", ({ msg }) => msg === "Poll failed");
      dewy.child.kill(signal);
      await dewy.seen("the stop", ({ msg }) => msg === "Dewy stopping");
      // The same signal within half a second counts as the same request: a person tries again.
      const impatient = setInterval(() => dewy.child.kill(signal), 100);
      onTestFinished(() => clearInterval(impatient));
      expect(await dewy.ended()).toBe(code);
    },
  );

  test("an interrupted check does not answer", async () => {
    const cwd = await tempDirectory();
    let ask = (): void => {};
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    const github = await serveFetch(() => {
      ask();
      return new Promise(() => {});
    });
    onTestFinished(github.close);
    const env = { GITHUB_API_URL: github.url };
    const dewy = startDewy(command, ["check", "ghr://owner/repo"], { cwd, env });
    await asked;
    dewy.child.kill("SIGINT");
    expect(await dewy.ended()).toBe(130);
    expect(dewy.stdout()).toBe("");
  });
});

test("dewy warns that the script of an interpreter implies another directory", async () => {
  const cwd = await tempDirectory();
  await mkdir(join(cwd, "releases-to-come"));
  const args = ["server", "--registry", `file://${join(cwd, "releases-to-come")}`, "--once"];
  const [node] = cliRuntimes;
  const command = [...(node?.command ?? [])] as [string, ...string[]];
  const { stderr } = await runDewy(command, [...args, "--", "python3", "/opt/x/current/app.py"], {
    cwd,
  });
  expect(stderr).toMatch(/names another directory .* hint="--directory \/opt\/x"/);
});
