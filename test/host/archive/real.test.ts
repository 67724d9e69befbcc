import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { chmod, link, mkdir, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { EXTRACT_LIMITS } from "../../../src/host/archive/budget.ts";
import { extractArchive } from "../../../src/host/archive/extract.ts";
import { extractBytes, type Sandbox, sandbox, treeOf } from "./extracting.ts";

const has = (program: string): boolean => spawnSync(program, ["--help"]).error === undefined;

/** A test that needs programs of this system; where they are missing the name says so. */
function testWith(programs: readonly string[], name: string, body: () => Promise<void>): void {
  const missing = programs.filter((program) => !has(program));
  if (missing.length === 0) test(name, body);
  else test.skip(`${name} (skipped: ${missing.join(", ")} not installed)`, body);
}

const LONG = `${"long-name-".repeat(20)}end`;

async function makeSource(box: Sandbox): Promise<string> {
  const source = join(box.root, "source");
  await mkdir(join(source, "v2/bin"), { recursive: true });
  await mkdir(join(source, "deep", LONG, LONG), { recursive: true });
  await writeFile(join(source, "v2/bin/app"), "#!/bin/sh\n");
  await chmod(join(source, "v2/bin/app"), 0o755);
  await link(join(source, "v2/bin/app"), join(source, "v2/bin/alias"));
  await symlink("v2", join(source, "current"));
  await symlink("../../v2/bin/app", join(source, "deep", LONG, "run"));
  await writeFile(join(source, "deep", LONG, LONG, "ünïcödé – 文件"), "unicode");
  await writeFile(join(source, "empty"), "");
  await writeFile(join(source, "read-only"), "ro", { mode: 0o440 });
  await writeFile(join(source, "large"), Buffer.alloc(3_000_000, "0123456789"));
  await mkdir(join(source, "locked"));
  await writeFile(join(source, "locked/f"), "f");
  await utimes(join(source, "v2"), 1_000_000_000, 1_000_000_000);
  await chmod(join(source, "locked"), 0o555);
  return source;
}

async function expectSame(box: Sandbox, source: string): Promise<void> {
  expect(await treeOf(box.target)).toEqual(await treeOf(source));
  const time = (path: string): number => Math.trunc(statSync(path).mtimeMs / 1000);
  for (const path of ["v2", "v2/bin/app", "large", "locked"]) {
    // A zip keeps even seconds only where it has no better field.
    expect(Math.abs(time(join(box.target, path)) - time(join(source, path)))).toBeLessThan(2);
  }
  await chmod(join(source, "locked"), 0o755);
  await chmod(join(box.target, "locked"), 0o755);
}

async function roundTrip(
  name: string,
  pack: (source: string, file: string) => void,
): Promise<void> {
  await using box = await sandbox();
  const source = await makeSource(box);
  const file = join(box.root, name);
  pack(source, file);
  await extractArchive({
    file,
    name,
    directory: box.target,
    limits: EXTRACT_LIMITS,
    signal: new AbortController().signal,
  });
  await expectSame(box, source);
}

describe("archives of the system's own programs", () => {
  const compressors: [string, string[]][] = [
    ["app.tar", []],
    ["app.tar.gz", ["gzip"]],
    ["app.tar.bz2", ["bzip2"]],
    ["app.tar.xz", ["xz"]],
    ["app.tar.zst", ["zstd"]],
  ];
  for (const [name, programs] of compressors) {
    testWith(["tar", ...programs], `${name} comes out as it went in`, () =>
      roundTrip(name, (source, file) => execFileSync("tar", ["caf", file, "-C", source, "."])),
    );
  }

  for (const format of ["gnu", "pax", "ustar"]) {
    testWith(["tar"], `a tar in the ${format} format comes out as it went in`, async () => {
      // ustar cannot hold names this long.
      if (format === "ustar") {
        await using box = await sandbox();
        const source = join(box.root, "source");
        await mkdir(join(source, "a".repeat(90), "b".repeat(90)), { recursive: true });
        await writeFile(join(source, "a".repeat(90), "b".repeat(90), "c"), "c");
        const bytes = execFileSync("tar", ["c", "--format=ustar", "-C", source, "."]);
        await extractBytes(box, bytes, "app.tar");
        expect(await treeOf(box.target)).toEqual(await treeOf(source));
      } else {
        await roundTrip("app.tar", (source, file) =>
          execFileSync("tar", ["cf", file, `--format=${format}`, "-C", source, "."]),
        );
      }
    });
  }

  testWith(["zip"], "app.zip comes out as it went in", () =>
    roundTrip("app.zip", (source, file) =>
      execFileSync("zip", ["-qry", file, "."], { cwd: source }),
    ),
  );

  testWith(["zip"], "a zip written to a pipe, sizes after the content, is read", async () => {
    await using box = await sandbox();
    writeFileSync(join(box.root, "f"), "content ".repeat(1000));
    const bytes = execFileSync("zip", ["-q", "-", "f"], { cwd: box.root });
    await extractBytes(box, bytes, "app.zip");
    expect(await treeOf(box.target)).toEqual({ f: `0644:${"content ".repeat(1000)}` });
  });

  testWith(["zip"], "a zip64 comes out as it went in", () =>
    roundTrip("app.zip", (source, file) =>
      execFileSync("zip", ["-qry", "-fz", file, "."], { cwd: source }),
    ),
  );

  testWith(["zip"], "a zip with a password is refused", async () => {
    await using box = await sandbox();
    writeFileSync(join(box.root, "f"), "secret text");
    execFileSync("zip", ["-q", "-P", "pw", "app.zip", "f"], { cwd: box.root });
    const bytes = readFileSync(join(box.root, "app.zip"));
    await expect(extractBytes(box, bytes, "app.zip")).rejects.toThrow(/"f": it is encrypted/);
  });

  for (const version of ["1.0", "0.1"]) {
    testWith(["tar"], `a sparse file in the pax form ${version} gets its holes back`, async () => {
      await using box = await sandbox();
      const source = join(box.root, "source");
      mkdirSync(source);
      await writeFile(join(source, "disk"), "begin");
      await truncate(join(source, "disk"), 4_000_000);
      writeFileSync(join(source, "disk"), "middle", { flag: "r+" });
      await truncate(join(source, "disk"), 5_000_001);
      const bytes = execFileSync("tar", [
        ...["c", "--format=pax", "-S", `--sparse-version=${version}`, "-C", source, "disk"],
      ]);
      expect(bytes.byteLength).toBeLessThan(100_000);
      await extractBytes(box, bytes, "app.tar");
      const content = readFileSync(join(box.target, "disk"));
      expect(crc32(content)).toBe(crc32(readFileSync(join(source, "disk"))));
    });
  }

  testWith(
    ["tar"],
    "a sparse file in GNU tar's old form is refused, not extracted wrongly",
    async () => {
      await using box = await sandbox();
      await writeFile(join(box.root, "disk"), "begin");
      await truncate(join(box.root, "disk"), 4_000_000);
      const bytes = execFileSync("tar", ["c", "--format=gnu", "-S", "-C", box.root, "disk"]);
      await expect(extractBytes(box, bytes, "app.tar")).rejects.toThrow(
        /"disk": it is a sparse file/,
      );
    },
  );
});

describe("where the system's programs are missing", () => {
  async function withoutPrograms(name: string, pack: readonly string[]): Promise<void> {
    await using box = await sandbox();
    const source = await makeSource(box);
    const file = join(box.root, name);
    execFileSync("tar", ["cf", file, ...pack, "-C", source, "."]);
    const empty = join(box.root, "empty-path");
    mkdirSync(empty);
    const path = process.env.PATH;
    process.env.PATH = empty;
    try {
      await extractBytes(box, readFileSync(file), name);
    } finally {
      process.env.PATH = path;
    }
    await expectSame(box, source);
  }

  testWith(["tar", "bzip2"], "a library reads bz2", () => withoutPrograms("app.tar.bz2", ["-j"]));
  testWith(["tar", "xz"], "a library reads xz", () => withoutPrograms("app.tar.xz", ["-J"]));
  testWith(["tar", "zstd"], "a library reads zst", () =>
    withoutPrograms("app.tar.zst", ["--zstd"]),
  );
  testWith(["tar", "xz"], "an xz that the library cannot read says what to install", () =>
    expect(withoutPrograms("app.tar.xz", ["-I", "xz --check=sha256"])).rejects.toThrow(
      /install xz-utils/,
    ),
  );
});

testWith(["tar", "xz"], "an xz cut short is refused with the program's own reason", async () => {
  await using box = await sandbox();
  const source = await makeSource(box);
  const bytes = execFileSync("tar", ["cJ", "-C", source, "."]);
  await expect(extractBytes(box, bytes.subarray(0, -100), "app.tar.xz")).rejects.toThrow(
    /damaged or truncated: .*xz/,
  );
  await chmod(join(source, "locked"), 0o755);
});

test("a directory that is not empty is left alone", async () => {
  await using box = await sandbox();
  mkdirSync(box.target);
  symlinkSync("x", join(box.target, "y"));
  await expect(extractBytes(box, new Uint8Array(0), "app.tar")).rejects.toThrow(/is not empty/);
  await rm(join(box.target, "y"));
});
