import { chmod, lstat, readdir, realpath, symlink } from "node:fs/promises";
import { join, sep } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { extractBytes, sandbox, treeOf } from "./extracting.ts";
import { type TarSpec, tarBytes } from "./tar_bytes.ts";
import { zipBytes } from "./zip_bytes.ts";

// Thousands of small files: slow disks need longer than a usual test.
vi.setConfig({ testTimeout: 120_000 });

const segment = fc.constantFrom("a", "b", "c", "..", ".", "", "d e", "é");
const path = fc
  .tuple(fc.boolean(), fc.array(segment, { minLength: 1, maxLength: 5 }))
  .map(([absolute, segments]) => (absolute ? "/" : "") + segments.join("/"));
const outward = fc.constantFrom("../outside/secret", "../../outside", "/etc/passwd", "outside");
const target = fc.oneof({ weight: 4, arbitrary: path }, { weight: 1, arbitrary: outward });
const entry: fc.Arbitrary<TarSpec> = fc.oneof(
  fc.record({ name: path, content: fc.constantFrom("one", "two", ""), mode: fc.nat(0o7777) }),
  fc.record({ name: path, type: fc.constant("5"), mode: fc.nat(0o7777) }),
  fc.record({ name: path, type: fc.constant("2"), link: target }),
  fc.record({ name: path, type: fc.constant("1"), link: target }),
);
const hostile = fc.array(entry, { minLength: 1, maxLength: 12 });

type Kind = "file" | "directory" | "symlink" | "hardlink";

/** Archives that break no rule: each name is new, each link leads to an earlier entry. */
function harmless(kinds: readonly Kind[]): fc.Arbitrary<TarSpec[]> {
  const step = fc.record({
    kind: fc.constantFrom(...kinds),
    root: fc.constantFrom("", "./", "/", "x/../"),
    mode: fc.nat(0o7777),
    pick: fc.nat(),
  });
  return fc.array(step, { maxLength: 11 }).map((steps) => {
    const directories = [""];
    const files = ["first"];
    const specs: TarSpec[] = [{ name: "first", content: "1", mode: 0o7777 }];
    for (const [index, { kind, root, mode, pick }] of steps.entries()) {
      const within = directories[pick % directories.length] ?? "";
      const file = files[pick % files.length] ?? "";
      const name = `${within}n${index}`;
      const up = "../".repeat(name.split("/").length - 1);
      if (kind === "directory") directories.push(`${name}/`);
      if (kind === "file") files.push(name);
      specs.push({ name: root + name, mode, ...DETAILS[kind](file, up) });
    }
    return specs;
  });
}

const DETAILS: Record<Kind, (file: string, up: string) => Partial<TarSpec>> = {
  file: () => ({ content: "one" }),
  directory: () => ({ type: "5" }),
  symlink: (file, up) => ({ type: "2", link: up + file }),
  hardlink: (file) => ({ type: "1", link: file }),
};

/** A third of them harmless, a third not at all, a third harmless but for one entry. */
function archives(kinds: readonly Kind[]): fc.Arbitrary<{ specs: TarSpec[]; isHarmless: boolean }> {
  return fc.oneof(
    harmless(kinds).map((specs) => ({ specs, isHarmless: true })),
    hostile.map((specs) => ({ specs, isHarmless: false })),
    fc.tuple(harmless(kinds), entry, fc.nat()).map(([specs, one, at]) => ({
      specs: specs.toSpliced(at % (specs.length + 1), 0, one),
      isHarmless: false,
    })),
  );
}

/** Everything that was made lies inside, and everything a link leads to as well. */
async function expectInside(directory: string, root: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const made = join(directory, name);
    const stats = await lstat(made);
    expect(stats.mode & 0o7000).toBe(0);
    if (stats.isSymbolicLink()) {
      const leads = await realpath(made).catch(() => undefined);
      if (leads !== undefined) expect(leads === root || leads.startsWith(root + sep)).toBe(true);
    } else if (stats.isDirectory()) {
      await chmod(made, 0o700);
      await expectInside(made, root);
    } else expect(stats.isFile()).toBe(true);
  }
}

async function holds(bytes: Uint8Array, name: string): Promise<boolean> {
  await using box = await sandbox();
  // A link of the archive would reach this if it could leave.
  await symlink("outside", join(box.root, "a"));
  const before = await treeOf(join(box.root, "outside"));
  let extracted = true;
  await extractBytes(box, bytes, name).catch((error: Error) => {
    expect(error.name).toBe("ArchiveError");
    extracted = false;
  });
  await expectInside(box.target, await realpath(box.target));
  expect(await treeOf(join(box.root, "outside"))).toEqual(before);
  expect((await readdir(box.root)).sort()).toEqual(["a", "archive.bin", "outside", "target"]);
  return extracted;
}

test("any tar writes inside only", async () => {
  const kinds: Kind[] = ["file", "directory", "symlink", "hardlink"];
  await fc.assert(
    fc.asyncProperty(archives(kinds), async ({ specs, isHarmless }) => {
      const extracted = await holds(gzipSync(tarBytes(specs), { level: 1 }), "app.tgz");
      // Else the property would hold because nothing is ever extracted.
      if (isHarmless) expect(extracted).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test("any zip writes inside only", async () => {
  await fc.assert(
    fc.asyncProperty(archives(["file", "directory", "symlink"]), async ({ specs, isHarmless }) => {
      const isLink = (spec: TarSpec): boolean => spec.type === "2" || spec.type === "1";
      const zipped = specs.map((spec) => ({
        name: spec.type === "5" ? `${spec.name}/` : spec.name,
        content: isLink(spec) ? (spec.link ?? "") : (spec.content ?? ""),
        mode: isLink(spec) ? 0o120777 : (spec.mode ?? 0) & 0o7777,
      }));
      const extracted = await holds(zipBytes(zipped), "app.zip");
      if (isHarmless) expect(extracted).toBe(true);
    }),
    { numRuns: 150 },
  );
});

test("a damaged tar is refused or extracted", async () => {
  const whole = tarBytes([
    { name: "a/b", content: "x".repeat(2000), pax: { mtime: "1.5" } },
    { name: "l", type: "2", link: "a/b" },
    { name: "h", type: "1", link: "a/b" },
  ]);
  expect(await holds(whole, "app.tar")).toBe(true);
  const damage = fc.array(fc.tuple(fc.nat(whole.byteLength - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      await holds(bytes, "app.tar");
    }),
    { numRuns: 100 },
  );
});
