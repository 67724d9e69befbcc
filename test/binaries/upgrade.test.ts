import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../../src/core/clock.ts";
import { runDewy, startDewy } from "../e2e/dewy.ts";
import { type FakeGitHub, serveGitHub } from "../fakes/github.ts";
import { stallAfter, tamper } from "../fakes/github_fault.ts";
import { type FakeSigstore, fakeSigstore, ISSUER } from "../fakes/sigstore.ts";
import { run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { BINARY, HERE } from "./build.ts";

const NEXT = "v9.0.0";
const ARTIFACT = `dewy_${HERE}.tar.gz`;
const WORKFLOW = "https://github.com/dewy/dewy/.github/workflows/release.yml";
const DOWNLOADS = /^GET \/storage\//;

let sigstore: FakeSigstore;
beforeAll(async () => {
  sigstore = await fakeSigstore();
});

type Command = readonly [string, ...string[]];

interface Program {
  /** The version that it says it is. Defaults to the release's. */
  says?: string;
  /** What it does before that. */
  before?: string;
}

interface Installed {
  github: FakeGitHub;
  /** Where the binary is. */
  directory: string;
  program: string;
  upgrade(...flags: string[]): ReturnType<typeof runDewy>;
  /** Starts it by a program that takes rights away from it. */
  upgradeBy(...wrapper: Command): ReturnType<typeof runDewy>;
  start(...flags: string[]): ReturnType<typeof startDewy>;
  publish(tag: string, options?: Program & { isSigned?: boolean }): Promise<void>;
  /** What the installed program says. */
  version(): Promise<string>;
}

async function install(directory?: string): Promise<Installed> {
  const home = directory ?? (await tempDirectory());
  const program = join(home, "dewy");
  await copyFile(BINARY, program);
  await chmod(program, 0o755);
  const { github, url, close } = await serveGitHub({ clock: systemClock, repo: "dewy/dewy" });
  onTestFinished(close);
  const work = await tempDirectory();
  const root = join(work, "root.json");
  await writeFile(root, JSON.stringify(sigstore.trustedRoot));
  const env = { GITHUB_API_URL: url, GITHUB_TOKEN: "ghp_reader", XDG_RUNTIME_DIR: work };
  const args = (flags: readonly string[]) => ["upgrade", "--trusted-root", root, ...flags];
  return {
    github,
    directory: home,
    program,
    upgrade: (...flags) => runDewy([program], args(flags), { cwd: work, env }),
    upgradeBy: (...wrapper) => runDewy([...wrapper, program], args([]), { cwd: work, env }),
    start: (...flags) => startDewy([program], args(flags), { cwd: work, env }),
    publish: async (tag, { says = tag, before = "", isSigned = true } = {}) => {
      const bytes = await archive(says, before);
      github.publish(tag, [{ name: ARTIFACT, bytes }]);
      if (!isSigned) return;
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const bundle = await sigstore.attest([{ name: ARTIFACT, sha256 }], {
        issuer: ISSUER,
        subject: `${WORKFLOW}@refs/tags/${tag}`,
        repository: "https://github.com/dewy/dewy",
      });
      github.attest(sha256, bundle);
    },
    version: async () => (await run(program, ["--version"])).stdout,
  };
}

/** A release whose program says what it is. */
async function archive(version: string, before: string): Promise<Uint8Array<ArrayBuffer>> {
  const body = `#!/bin/sh\n${before}\necho "dewy version: ${version.replace(/^v/, "")}"\n`;
  const file = { name: "dewy", size: body.length, type: "file", mode: 0o755 } as const;
  const mtime = new Date("2026-01-01T00:00:00Z");
  const tar = await packTar([{ header: { ...file, mtime }, body }]);
  return new Uint8Array(gzipSync(tar));
}

async function expectUntouched({ directory, version }: Installed): Promise<void> {
  expect(await readdir(directory)).toEqual(["dewy"]);
  expect(await version()).toContain(manifest.version);
}

describe("dewy upgrade", () => {
  test("replaces the binary by the newest attested version, with its mode", async () => {
    const dewy = await install();
    await chmod(dewy.program, 0o751);
    await dewy.publish(NEXT);
    const { code, stdout, stderr } = await dewy.upgrade();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`Upgraded ${dewy.program} from ${manifest.version} to ${NEXT}\n`);
    expect(stdout).toContain(`verified github: ${WORKFLOW}@refs/tags/${NEXT}`);
    expect(await dewy.version()).toBe("dewy version: 9.0.0\n");
    expect((await stat(dewy.program)).mode & 0o7777).toBe(0o751);
    expect(await readdir(dewy.directory)).toEqual(["dewy"]);
  });

  test("only says what there is with --check", async () => {
    const dewy = await install();
    await dewy.publish(NEXT);
    const { code, stdout } = await dewy.upgrade("--check");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `${NEXT} is available; this is ${manifest.version}. To upgrade: dewy upgrade\n`,
    });
    await expectUntouched(dewy);
  });

  test("does not go back to an older version, unless --to names it", async () => {
    const dewy = await install();
    await dewy.publish("v0.0.9");
    const { code, stdout } = await dewy.upgrade();
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `dewy ${manifest.version} is up to date; the newest version is v0.0.9\n`,
    });
    await expectUntouched(dewy);
    expect((await dewy.upgrade("--to", "v0.0.9")).code).toBe(0);
    expect(await dewy.version()).toBe("dewy version: 0.0.9\n");
  });

  test.each([
    ["has no attestation", { isSigned: false }, /Cannot verify/],
    ["contains another version", { says: "v8.0.0" }, /contains 8\.0\.0/],
  ])("refuses a release that %s", async (_, options, reason) => {
    const dewy = await install();
    await dewy.publish(NEXT, options);
    const { code, stderr } = await dewy.upgrade();
    expect(code).not.toBe(0);
    expect(stderr).toMatch(reason);
    await expectUntouched(dewy);
  });

  test("refuses bytes that do not have the digest of the release", async () => {
    const dewy = await install();
    await dewy.publish(NEXT);
    dewy.github.inject(DOWNLOADS, tamper(), 100);
    const { code, stderr } = await dewy.upgrade();
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/sha256/);
    await expectUntouched(dewy);
  });

  test("leaves the binary as it is after Ctrl-C in the middle of the download", async () => {
    const dewy = await install();
    await dewy.publish(NEXT);
    dewy.github.inject(DOWNLOADS, stallAfter(10), 100);
    const upgrading = dewy.start();
    await expect.poll(async () => (await readdir(dewy.directory)).length).toBe(2);
    await expect.poll(() => dewy.github.calls.some(({ call }) => DOWNLOADS.test(call))).toBe(true);
    upgrading.child.kill("SIGINT");
    expect(await upgrading.ended()).toBe(130);
    await expectUntouched(dewy);
  });

  test("leaves the binary as it is after Ctrl-C while it tries the new one", async () => {
    const dewy = await install();
    const started = join(await tempDirectory(), "started");
    await dewy.publish(NEXT, { before: `touch "${started}"; exec sleep 100` });
    const upgrading = dewy.start();
    await expect.poll(() => existsSync(started)).toBe(true);
    upgrading.child.kill("SIGINT");
    expect(await upgrading.ended()).toBe(130);
    await expectUntouched(dewy);
  });

  test("removes what an upgrade that was killed has left, and not what one still needs", async () => {
    const dewy = await install();
    const [killed, running] = [".dewy-upgrade-killed", ".dewy-upgrade-running"];
    for (const name of [killed, running]) await mkdir(join(dewy.directory, name));
    const twoHoursAgo = Date.now() / 1_000 - 7_200;
    await utimes(join(dewy.directory, killed), twoHoursAgo, twoHoursAgo);
    await dewy.publish(NEXT);
    expect((await dewy.upgrade()).code).toBe(0);
    expect(await readdir(dewy.directory)).toEqual([running, "dewy"]);
  });

  const isRoot = process.getuid?.() === 0;
  const skipped = isRoot ? "" : " (skipped: only root can mount)";
  describe.skipIf(!isRoot)(`in a place that refuses the new program${skipped}`, () => {
    test("asks for another user if this one may not write there", async () => {
      const dewy = await install();
      await dewy.publish(NEXT);
      await chmod(dewy.directory, 0o555);
      const { code, stderr } = await dewy.upgradeBy("setpriv", "--bounding-set=-dac_override");
      expect(code).toBe(1);
      expect(stderr).toContain(`permission denied in ${dewy.directory}; run it as a user who may`);
      await expectUntouched(dewy);
    });

    test.each([
      ["is read-only", /the file system is read-only/],
      ["is full", /ENOSPC|disk is full|free/],
    ])("says so if it %s", async (kind, reason) => {
      const home = join(await tempDirectory(), "bin");
      await mkdir(home);
      const size = (await stat(BINARY)).size + 65_536;
      const mount = async (...args: string[]) =>
        expect((await run("mount", args)).code, args.join(" ")).toBe(0);
      await mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", home);
      onTestFinished(async () => {
        await run("umount", ["--lazy", home]);
      });
      const dewy = await install(home);
      await dewy.publish(NEXT);
      if (kind === "is read-only") await mount("-o", "remount,ro", home);
      else await expect(writeFile(join(home, "rest"), Buffer.alloc(size))).rejects.toThrow();
      const { code, stderr } = await dewy.upgrade();
      expect(code).not.toBe(0);
      expect(stderr).toMatch(reason);
      expect(await dewy.version()).toContain(manifest.version);
    });
  });
});
