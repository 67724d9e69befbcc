import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { run } from "../../src/cli/run.ts";
import { versionText } from "../../src/cli/version.ts";
import vectors from "../vectors/cli.json" with { type: "json" };
import { fakeProcess } from "./process.ts";

async function dewy(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = fakeProcess();
  const code = await run(argv, io);
  return { code, out: io.out(), err: io.err() };
}

describe("dewy", () => {
  test.each([[["--version"]], [["-v"]], [["assets", "--version"]]])(
    "%j prints the version",
    async (argv) => {
      expect(await dewy(...argv)).toEqual({
        code: 0,
        out: `dewy version: ${manifest.version}\n`,
        err: "",
      });
    },
  );
  test.each(vectors.filter((v) => v.op === "versionText"))("version $name", (vector) => {
    const [version = "", commit = "", builtAt = ""] = vector.in.version ?? [];
    expect(versionText(version, commit, builtAt)).toBe(vector.out);
  });
  test("--help names the commands and exits 0", async () => {
    const { code, out, err } = await dewy("--help");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("Usage: dewy");
    for (const name of ["server", "assets", "container", "container list", "check", "explain"])
      expect(out).toContain(`  ${name} `);
  });
  test("a command's --help has its flags, registries and notifiers", async () => {
    const { code, out } = await dewy("assets", "--help");
    expect(code).toBe(0);
    for (const part of [
      "Usage: dewy assets",
      "-i, --interval <duration>",
      "(default: 10s)",
      "ghr://",
      "slack://",
    ]) {
      expect(out).toContain(part);
    }
    expect(out).not.toContain("--json");
  });
  test("without a command, the error points to --help", async () => {
    expect(await dewy()).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringMatching(/^Error: command is not available.*\nSee: dewy --help\n$/),
    });
  });
  test("masks the secrets of the environment in an error", async () => {
    const io = fakeProcess({ env: { DB_PASSWORD: "hunter2hunter2" } });
    expect(await run(["check", "ghr://hunter2hunter2"], io)).toBe(1);
    expect(io.err()).toMatch(/^Error: Cannot use --registry "ghr:\/\/…"/);
  });

  const assets = ["assets", "--registry", "file:///r", "--directory", "/nowhere"];
  test.each([
    ["check", "me:canary@h"],
    ["check", "canary@h/a"],
    ["check", "ghr://o/r", "https://me:canary@h/?token=canary"],
    ["check", "s3://r/b/p?endpoint=http://me:canary@h"],
    ["check", "s3://r/b/p?endpoint=http://h/?token=canary"],
    ["check", "s3://r/b/p?endpoint=http%3A%2F%2Fme%3Acanary%40h&token=canary"],
    ["check", "https://me:canary@h/a#canary"],
    ["assets", "--registry", "me:canary@h"],
    ["server", "--registry", "ghr://me:canary@o/r", "--", "a"],
    ["container", "--registry", "img://me:canary@h/a"],
    ["registry", "--upstream", "me:canary@h"],
    ["registry", "--upstream", "ghr://o/r", "--public-url", "me:canary@h"],
    [...assets, "--notifier", "https://hooks.slack.com/services/T0/B0/canary"],
    [...assets, "--notifier", "hooks.slack.com/services/T0/B0/canary"],
    [...assets, "--notifier", "https://discord.example/api/webhooks/1/canary"],
    [...assets, "--notifier", "slack://c?url=http://me:canary@h&token=canary"],
    [...assets, "--notifier", "slack://me:canary@c"],
    [...assets, "--notifier", "xoxb-canary-canary1@c"],
  ])("does not repeat a secret that was typed: %j", async (...argv) => {
    const { code, out, err } = await dewy(...argv);
    expect(code).toBe(1);
    expect(err).toMatch(/^Error: /);
    expect(out + err).not.toContain("canary");
  });

  test("an error in a command line points to that command's help", async () => {
    expect((await dewy("--bogus", "assets")).err).toBe(
      "Error: unknown flag --bogus\nSee: dewy assets --help\n",
    );
  });
  test("control characters in an error are escaped", async () => {
    expect((await dewy("a\u001b[2J")).err).toContain('"a\\x1b[2J"');
  });
});

describe("refuses commands and registries that do not fit", () => {
  test.each([
    [["server", "--registry", "img://ghcr.io/o/a"], "use `dewy container` for img://"],
    [["assets", "--registry", "img://ghcr.io/o/a"], "use `dewy container` for img://"],
    [["container", "--registry", "ghr://o/r"], "use `dewy server` or `dewy assets` for ghr://"],
    [
      ["server", "--registry", "ghr://o/r", "--port", "70000", "--", "/app"],
      "Error: invalid port specification: port number must be between 1 and 65535, got 70000\nSee: dewy server --help",
    ],
    [
      ["container", "--registry", "img://ghcr.io/o/a:v1", "--port", "80"],
      'invalid repository name "o/a:v1"; omit the tag, which dewy chooses',
    ],
    [
      ["container", "--registry", "img://ghcr.io/o/a", "--port", "8080:80:90"],
      "Error: failed to parse port mappings: invalid port mapping format: 8080:80:90 (expected proxy:container)",
    ],
    [["server", "myapp"], "Error: --registry is not set"],
    [["assets", "--registry", "ftp://o/r"], "unsupported registry"],
    [["check", "ftp://o/r"], "unsupported registry"],
    [["server", "--registry", "o/r", "--", "/app"], 'Cannot read --registry "o/r"'],
    [["check", "https://github.com/o/r"], "did you mean ghr://o/r?"],
    [["assets", "--registry", "ghr://o/r", "--notifier", "slack"], "Cannot read --notifier"],
    [["assets", "--registry", "ghr://o/r", "--notifier", "pigeon://x"], "supported: slack"],
    [["check", "ghr://o/r", "--calver", "foo"], "calver"],
  ])("%j", async (argv, message) => {
    const { code, err, out } = await dewy(...argv);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(message);
  });
});

describe("dewy check and dewy explain", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "dewy-run-"));
  });
  afterEach(() => rm(dir, { recursive: true }));
  const publish = async (tag: string, artifact: string): Promise<void> => {
    await mkdir(join(dir, tag), { recursive: true });
    await writeFile(join(dir, tag, artifact), "bytes");
  };
  const linux = ["--platform", "linux/amd64"];

  test.each([
    [["check", "ghr://a", "--json"], 1, { code: "config", fault: "operator", retryable: false }],
    [["check", "ghr://o/r", "--json", "--nope"], 1, { code: "config", fault: "operator" }],
    [["explain", "file:///nowhere-at-all", "--json"], 2, { code: "not-found", fault: "remote" }],
  ])("print the failure of %j as JSON, too", async (argv, exitCode, expected) => {
    const { code, out, err } = await dewy(...argv);
    expect([code, err]).toEqual([exitCode, ""]);
    expect(JSON.parse(out)).toMatchObject({
      kind: "error",
      message: expect.any(String),
      ...expected,
    });
  });

  test("print a ready version for scripts, and exit 0", async () => {
    await publish("v1.0.0", "app_linux_amd64.tar.gz");
    await publish("v1.2.0+blue", "app_linux_amd64.tar.gz");
    const { code, out } = await dewy("check", `file://${dir}`, "--json", ...linux);
    expect(code).toBe(0);
    expect(out.endsWith("\n")).toBe(true);
    const answer = JSON.parse(out);
    expect(Object.keys(answer)).toEqual([
      "kind",
      "tag",
      "version",
      "artifact",
      "url",
      "size",
      "digest",
      "createdAt",
      "slot",
    ]);
    expect(answer).toMatchObject({
      kind: "ready",
      tag: "v1.2.0+blue",
      version: "1.2.0+blue",
      artifact: "app_linux_amd64.tar.gz",
      size: 5,
      slot: "blue",
    });
  });
  test("print a ready version as text", async () => {
    await publish("v1.0.0", "app_linux_amd64.tar.gz");
    const { code, out } = await dewy("check", `file://${dir}`, ...linux);
    expect(code).toBe(0);
    expect(out).toMatch(/^version +v1\.0\.0\nartifact +app_linux_amd64\.tar\.gz\n/);
    expect(out).toMatch(/\nsize +5 B\n/);
    expect(out).toMatch(/\nplatform +linux\/amd64\n$/);
  });
  test("exit 2 with a reason when nothing is ready", async () => {
    const { code, out } = await dewy("check", `file://${dir}`, "--json");
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ kind: "none", tag: null, reason: "empty" });
  });
  test("exit 2 with an error when the registry does not exist", async () => {
    const { code, out, err } = await dewy("check", `file://${dir}/missing`);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(/^Error: /);
  });
  test("explain every tag and artifact", async () => {
    await publish("v1.0.0", "app_linux_amd64.tar.gz");
    await publish("v1.1.0-rc.1", "app_linux_amd64.tar.gz");
    await publish("latest", "app.tar.gz");
    await publish("v1.0.0", "app_darwin_arm64.tar.gz");
    const { code, out } = await dewy("explain", `file://${dir}`, ...linux);
    expect(code).toBe(0);
    expect(out).toMatch(/\n\* {2}v1\.0\.0 /);
    expect(out).toMatch(/\n {3}v1\.1\.0-rc\.1 +.*pre-release/);
    expect(out).toMatch(/\n {3}latest /);
    expect(out).toMatch(/\n\* {2}app_linux_amd64\.tar\.gz /);
    expect(out).toMatch(/\n {3}app_darwin_arm64\.tar\.gz /);
    const json = JSON.parse((await dewy("explain", `file://${dir}`, "--json", ...linux)).out);
    expect(json.tags.filter((tag: { chosen: boolean }) => tag.chosen)).toHaveLength(1);
    expect(json.resolution).toMatchObject({ kind: "ready", tag: "v1.0.0" });
  });
  test("escape control characters in a name", async () => {
    await publish("v1.0.0", "app_linux_amd64\u001b[2J.tar.gz");
    const { out } = await dewy("explain", `file://${dir}`, ...linux);
    expect(out).toContain("app_linux_amd64\\x1b[2J.tar.gz");
    expect(out).not.toContain("\u001b");
  });
  test("an interrupted check prints no answer", async () => {
    const io = fakeProcess();
    io.kill("SIGINT");
    expect(await run(["check", `file://${dir}`], io)).toBe(130);
    expect(io.out()).toBe("");
  });
});
