import { execFile } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { type Index, parseIndex } from "../../../src/verify/index_file/format.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { sha256Hex } from "../../support/subject.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { fakeProcess } from "../process.ts";

const noMinisign = missingPeer(["minisign"], "minisign");
const DAY = 86_400_000;

interface Publisher {
  directory: string;
  path(name: string): string;
  signIndex(...argv: string[]): Promise<{ code: number; out: string; err: string }>;
  index(): Promise<Index>;
}

async function publisher(): Promise<Publisher> {
  const directory = await tempDirectory();
  const path = (name: string): string => join(directory, name);
  const list = path("dewy-index.json");
  await writeFile(path("app.tar.gz"), "bytes");
  return {
    directory,
    path,
    async signIndex(...argv) {
      const io = fakeProcess();
      const code = await run(["sign-index", "--index", list, ...argv], io);
      return { code, out: io.out(), err: io.err() };
    },
    async index() {
      const index = parseIndex(await readFile(list, "utf8"));
      if (typeof index === "string") throw new Error(index);
      return index;
    },
  };
}

const digest = (content: string): string => `sha256:${sha256Hex(content)}`;

describe("dewy sign-index", () => {
  test("lists the digests of a version's files, for a month", async () => {
    const { signIndex, index, path } = await publisher();
    const { code, out } = await signIndex("v1.0.0", path("app.tar.gz"));
    expect([code, out]).toEqual([0, expect.stringMatching(/written; it expires at .*; sign it/)]);
    const { issued, expires, versions } = await index();
    expect(versions).toEqual({ "v1.0.0": { "app.tar.gz": digest("bytes") } });
    expect(Date.parse(expires) - Date.parse(issued)).toBe(30 * DAY);
    expect((await stat(path("dewy-index.json"))).mode & 0o777).toBe(0o644);
  });

  test("keeps the versions that are listed, and adds files to one of them", async () => {
    const { signIndex, index, path } = await publisher();
    await writeFile(path("other.zip"), "other");
    await signIndex("v1.0.0", path("app.tar.gz"));
    await signIndex("v1.0.0", path("other.zip"), path("app.tar.gz"));
    await signIndex("v1.1.0", path("other.zip"), "--expires", "7d");
    const { issued, expires, versions } = await index();
    expect(versions).toEqual({
      "v1.0.0": { "app.tar.gz": digest("bytes"), "other.zip": digest("other") },
      "v1.1.0": { "other.zip": digest("other") },
    });
    expect(Date.parse(expires) - Date.parse(issued)).toBe(7 * DAY);
  });

  test("renews the list without a version", async () => {
    const { signIndex, index, path } = await publisher();
    await signIndex("v1.0.0", path("app.tar.gz"), "--expires", "1h");
    const before = await index();
    expect((await signIndex("--expires", "2d")).code).toBe(0);
    const after = await index();
    expect(after.versions).toEqual(before.versions);
    expect(Date.parse(after.expires)).toBeGreaterThan(Date.parse(before.expires));
  });

  test("does not take other bytes for a file that is listed", async () => {
    const { signIndex, index, path } = await publisher();
    await signIndex("v1.0.0", path("app.tar.gz"));
    const before = await index();
    await writeFile(path("app.tar.gz"), "replaced");
    const { code, err } = await signIndex("v1.0.0", path("app.tar.gz"));
    expect(code).not.toBe(0);
    expect(err).toContain("the index lists it with another digest");
    expect(await index()).toEqual(before);
  });

  test.each([
    ["files without a version's list", [], "Cannot sign an index without versions"],
    ["a tag without files", ["v1.0.0"], "needs the files of v1.0.0"],
    ["an empty tag", ["", "app"], "is empty"],
    ["a missing file", ["v1.0.0", "/nowhere/app"], "/nowhere/app"],
    ["a bad duration", ["--expires", "soon"], "Invalid value for --expires"],
  ])("refuses %s", async (_, argv, reason) => {
    const { code, err } = await (await publisher()).signIndex(...argv);
    expect([code === 0, err]).toEqual([false, expect.stringContaining(reason)]);
  });

  test("refuses the same name twice", async () => {
    const { signIndex, path } = await publisher();
    const { err } = await signIndex("v1.0.0", path("app.tar.gz"), path("app.tar.gz"));
    expect(err).toContain('Cannot list "app.tar.gz" twice');
  });

  test("does not extend what is not an index", async () => {
    const { signIndex, path } = await publisher();
    await writeFile(path("dewy-index.json"), "{}");
    const { code, err } = await signIndex("v1.0.0", path("app.tar.gz"));
    expect([code === 0, err]).toEqual([false, expect.stringContaining("Cannot extend")]);
  });

  test("fails if the command that signs fails, or does not exist", async () => {
    const { signIndex, path } = await publisher();
    const app = path("app.tar.gz");
    const failed = await signIndex("v1.0.0", app, "--", "sh", "-c", "exit 3");
    expect(failed.err).toContain("Cannot sign the index: sh exited with exit code 3");
    const missing = await signIndex("v1.0.0", app, "--", "/nowhere/minisign", "-m");
    expect(missing.err).toContain('Cannot run "/nowhere/minisign" to sign the index');
    expect([failed.code, missing.code]).not.toContain(0);
  });

  test.skipIf(noMinisign !== undefined)(`signs with minisign${noMinisign ?? ""}`, async () => {
    const { signIndex, path } = await publisher();
    const keys = ["-p", path("key.pub"), "-s", path("key")];
    await promisify(execFile)("minisign", ["-G", "-W", ...keys]);
    const sign = ["minisign", "-S", "-s", path("key"), "-m"];
    const { code } = await signIndex("v1.0.0", path("app.tar.gz"), "--", ...sign);
    expect(code).toBe(0);
    expect(await readFile(path("dewy-index.json.minisig"), "utf8")).toContain(
      "file:dewy-index.json",
    );
  });
});
