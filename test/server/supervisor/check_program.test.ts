import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NotExecutedError } from "../../../src/server/generation/command.ts";
import {
  type CheckedProgram,
  checkProgram,
  foreignArchitecture,
  withFault,
} from "../../../src/server/supervisor/check_program.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

/** What a release contains: contents by path, and "+x" in front of what is executable. */
type Contents = Readonly<Record<string, string>>;

/** A working directory with two releases, the second of which is about to be started. */
async function world(before: Contents, now: Contents): Promise<string> {
  const root = await tempDirectory();
  for (const [name, contents] of Object.entries({ "1": before, "2": now })) {
    for (const [path, text] of Object.entries(contents)) {
      const file = join(root, "releases", name, path);
      await mkdir(join(file, ".."), { recursive: true });
      await writeFile(file, text.replace(/^\+x/, "").replaceAll("ROOT", root));
      await chmod(file, text.startsWith("+x") ? 0o755 : 0o644);
    }
  }
  await mkdir(join(root, "releases", "2"), { recursive: true });
  await symlink("releases/2", join(root, "current"));
  return root;
}

function check(root: string, name: string, over: Partial<CheckedProgram> = {}): Promise<void> {
  const release = { tag: "v2", directory: "2" };
  return checkProgram({ name, root, searchPath: "/usr/bin:/bin", release, ...over });
}

const GOOD: Contents = { "bin/app": "+x#!/bin/sh\n" };

describe("checkProgram", () => {
  it("accepts a program of the release and of the system", async () => {
    const root = await world({}, GOOD);
    await check(root, `${root}/current/bin/app`);
    await check(root, `${root}/./current/./bin/app`);
    await check(root, "sh");
  });

  it.each<[string, Contents, Contents, string]>([
    ["is not in it, but was in an earlier one", GOOD, {}, "there is no such file"],
    ["is a directory, but was a file", GOOD, { "bin/app/x": "" }, "it is a directory"],
    ["may not be executed", GOOD, { "bin/app": "" }, "not an executable file; chmod +x it in the"],
    ["may never be executed", {}, { "bin/app": "" }, "not an executable file; chmod +x it in the"],
    [
      "needs an interpreter that the release should have",
      GOOD,
      { "bin/app": "+x#!ROOT/current/bin/python" },
      "current/bin/python, which the release does not contain",
    ],
  ])("blames the release if its program %s", async (_, before, now, reason) => {
    const root = await world(before, now);
    const error = await check(root, `${root}/current/bin/app`).catch((e: unknown) => e);
    expect(error).toMatchObject({ fault: "release", message: expect.stringContaining(reason) });
  });

  it("does not blame a release for a path that no release has, which may be mistyped", async () => {
    const root = await world(GOOD, GOOD);
    const error = await check(root, `${root}/current/bin/ap`).catch((e: unknown) => e);
    expect(error).toMatchObject({
      fault: "operator",
      message: `Cannot start "${root}/current/bin/ap": there is no such file, and no other release has one; correct the command, or publish a release with this file`,
    });
  });

  it("recognizes the release by another path of the directory", async () => {
    const root = await world(GOOD, {});
    const other = `${await tempDirectory()}/app`;
    await symlink(root, other);
    const error = await check(root, `${other}/current/bin/app`).catch((e: unknown) => e);
    expect(error).toMatchObject({ fault: "release" });
  });

  it("blames the machine for a missing interpreter", async () => {
    const root = await world(GOOD, { "bin/app": "+x#!/no/such/python -u\n" });
    const error = await check(root, `${root}/current/bin/app`).catch((e: unknown) => e);
    expect(error).toMatchObject({
      fault: "host",
      message: expect.stringContaining("it needs /no/such/python, which is not on this machine"),
    });
  });

  it.each(["", "-S "])(
    "blames the machine for a program that env does not find (%j)",
    async (how) => {
      const root = await world(GOOD, { "bin/app": `+x#!/usr/bin/env ${how}no-such-python -u\n` });
      const error = await check(root, `${root}/current/bin/app`).catch((e: unknown) => e);
      expect(error).toMatchObject({
        fault: "host",
        message: expect.stringContaining("it needs no-such-python, which is not on this machine"),
      });
    },
  );

  it.each(["sh", "-S sh -e", "PATH=/opt/bin no-such-python", "-u A no-such-python"])(
    "has nothing against #!/usr/bin/env %s, which may run",
    async (words) => {
      const root = await world(GOOD, { "bin/app": `+x#!/usr/bin/env ${words}\n` });
      await check(root, `${root}/current/bin/app`);
    },
  );

  it.each([
    ["/no/such/program", "there is no such file"],
    ["/usr", "it is a directory"],
    ["/etc/passwd", "it is not an executable file"],
  ])("blames the machine for %s, which is outside of the release", async (name, reason) => {
    const error = await check(await world(GOOD, GOOD), name).catch((e: unknown) => e);
    expect(error).toMatchObject({ fault: "host", message: expect.stringContaining(reason) });
  });

  it("reports in one line that PATH does not contain a program, without the directories", async () => {
    const root = await world(GOOD, GOOD);
    const searchPath = `${root}:/usr/bin`;
    const error = await check(root, "no-such-program", { searchPath }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      fault: "host",
      retryable: true,
      message:
        'Cannot start "no-such-program": no directory in PATH contains a program with this name; install it, or specify its path',
    });
  });

  it("blames the release for a program that PATH finds in it", async () => {
    const root = await world({}, { "bin/app": "" });
    const searchPath = `${root}/current/bin`;
    const error = await check(root, "app", { searchPath }).catch((e: unknown) => e);
    expect(error).toMatchObject({ fault: "release" });
  });
});

/** The header of a program, as far as it tells the machine. */
function elf(machine: number): Buffer {
  const bytes = Buffer.alloc(128);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(machine, 18);
  return bytes;
}

describe("withFault", () => {
  const S390X = 22;
  const fault = async (reason: string, bytes: Uint8Array, program = "current/bin/app") => {
    const root = await world(GOOD, GOOD);
    await writeFile(join(root, "current/bin/app"), bytes);
    const name = program.startsWith("/") ? program : join(root, program);
    const release = { tag: "v2", directory: "2" };
    const checked = { name, root, searchPath: "", release };
    return withFault(new NotExecutedError(name, reason), checked);
  };
  it("blames the release for a program of another architecture, or an invalid one", async () => {
    expect(await fault("Exec format error", elf(S390X))).toMatchObject({
      fault: "release",
      message: expect.stringMatching(
        /^Cannot start ".*\/app": it was built for s390x, and this machine is \w+$/,
      ),
    });
    expect(await fault("Exec format error", Buffer.from([0, 1, 2]))).toMatchObject({
      fault: "release",
      message: expect.stringMatching(/": Exec format error$/),
    });
  });
  it("blames the machine for everything else, and for everything outside of the release", async () => {
    expect(await fault("Permission denied", Buffer.from("#!/bin/sh\n"))).toMatchObject({
      fault: "host",
    });
    const outside = await fault("Exec format error", Buffer.from("x"), "/bin/sh");
    expect(outside).toMatchObject({ fault: "host" });
  });
});

describe("foreignArchitecture", () => {
  const machines = { x64: 62, arm64: 183, ia32: 3, s390x: 22 };
  const told = async (bytes: Uint8Array): Promise<string | undefined> => {
    const root = await tempDirectory();
    await writeFile(join(root, "app"), bytes, { mode: 0o755 });
    return foreignArchitecture({ name: join(root, "app"), root, searchPath: "" });
  };
  it("names the architecture of a program that was built for another one", async () => {
    const [name = "", machine = 0] =
      Object.entries(machines).find(([each]) => each !== process.arch && each !== "ia32") ?? [];
    expect(await told(elf(machine))).toBe(
      `it was built for ${name}, and this machine is ${process.arch}`,
    );
  });
  it("returns undefined for a program of this architecture, a script and an unreadable file", async () => {
    const root = await tempDirectory();
    const own = { name: process.execPath, root, searchPath: "" };
    expect(foreignArchitecture(own)).toBeUndefined();
    expect(await told(Buffer.from("#!/bin/sh\n"))).toBeUndefined();
    expect(await told(Buffer.from("\x7fELF"))).toBeUndefined();
    expect(foreignArchitecture({ ...own, name: join(root, "missing") })).toBeUndefined();
  });
});
