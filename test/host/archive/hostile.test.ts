import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { extractBytes, sandbox, treeOf } from "./extracting.ts";
import { type TarSpec, tarBlocks, tarBytes } from "./tar_bytes.ts";
import { type ZipSpec, zipBytes } from "./zip_bytes.ts";

const IFLNK = 0o120777;
const IFREG = 0o100644;

async function refusedTar(specs: readonly TarSpec[], rule: RegExp): Promise<void> {
  await refused(gzipSync(tarBytes(specs)), "app.tar.gz", rule);
}

async function refusedZip(specs: readonly ZipSpec[], rule: RegExp): Promise<void> {
  await refused(zipBytes(specs), "app.zip", rule);
}

async function refused(bytes: Uint8Array, name: string, rule: RegExp): Promise<void> {
  await using box = await sandbox();
  const extracting = extractBytes(box, bytes, name);
  await expect(extracting).rejects.toMatchObject({ name: "ArchiveError", code: "archive" });
  await expect(extracting).rejects.toThrow(rule);
  await expect(extracting).rejects.toThrow(`"${name}"`);
  expect(await treeOf(`${box.root}/outside`)).toEqual({ secret: "0644:untouched" });
}

async function tree(bytes: Uint8Array, name: string): Promise<Record<string, string>> {
  await using box = await sandbox();
  await extractBytes(box, bytes, name);
  return await treeOf(box.target);
}

const ok: TarSpec = { name: "ok", content: "ok" };

describe("names in a tar", () => {
  const leaving = ["../x", "a/../../x", "/../x", "./../outside/secret", "..", "a/b/../../.."];
  for (const name of leaving) {
    test(`${JSON.stringify(name)} is refused as a path traversal that names the entry`, async () => {
      await refusedTar([ok, { name, content: "x" }], /entry ".*": path traversal/);
    });
  }

  test("a NUL in a pax path is refused", async () => {
    await refusedTar([{ name: "a", pax: { path: "a\0b" }, content: "x" }], /NUL/);
  });

  test("names that are not UTF-8 are refused instead of being renamed", async () => {
    const bytes = Buffer.from(tarBytes([{ name: "caf?", content: "x" }]));
    bytes[3] = 0xe9;
    let sum = 0;
    bytes.fill(0x20, 148, 156);
    for (const byte of bytes.subarray(0, 512)) sum += byte;
    bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    await refused(bytes, "app.tar", /not UTF-8/);
  });

  test("a part of more than 255 bytes is refused", async () => {
    await refusedTar([{ name: "a", pax: { path: "é".repeat(130) }, content: "x" }], /too long/);
  });

  test("a path of more than 4095 bytes is refused", async () => {
    await refusedTar([{ name: "a", pax: { path: "d/".repeat(2100) }, content: "x" }], /too long/);
  });

  test("a file without a name is refused", async () => {
    await refusedTar([ok, { name: "./.", content: "x" }], /no name/);
  });

  test("control characters of a name are escaped in the message", async () => {
    await refusedTar(
      [{ name: "../a\n\u001b[2Jb", content: "x" }],
      /entry "\.\.\/a\\n\\u001b\[2Jb"/,
    );
  });
});

describe("symbolic links", () => {
  const leaving: [string, TarSpec[]][] = [
    ["to an absolute path", [{ name: "l", type: "2", link: "/etc/passwd" }]],
    ["upwards", [{ name: "d/l", type: "2", link: "../../outside/secret" }]],
    ["through a missing directory", [{ name: "l", type: "2", link: "missing/../../outside" }]],
    [
      "through a link that goes up",
      [
        { name: "d/up", type: "2", link: ".." },
        { name: "l", type: "2", link: "d/up/../outside" },
      ],
    ],
    [
      "through a link that goes up and comes later",
      [
        { name: "l", type: "2", link: "d/up/../outside" },
        { name: "d/up", type: "2", link: ".." },
      ],
    ],
    [
      "that comes from a hard link to a link",
      [
        { name: "d/e/up", type: "2", link: "../.." },
        { name: "up", type: "1", link: "d/e/up" },
      ],
    ],
  ];
  for (const [how, specs] of leaving) {
    test(`a link that leaves ${how} is refused`, async () => {
      await refusedTar([ok, ...specs], /entry ".*": it is a symbolic link to ".*", which leaves/);
    });
  }

  test("a link that leaves is refused in a zip", async () => {
    await refusedZip([{ name: "l", content: "../outside", mode: IFLNK }], /"l": .*leaves/);
  });

  test("nothing is written through a link, not even inside", async () => {
    await refusedTar(
      [
        { name: "d/x", content: "x" },
        { name: "l", type: "2", link: "d" },
        { name: "l/y", content: "y" },
      ],
      /"l\/y": its path goes through the symbolic link "l"/,
    );
    await refusedZip(
      [
        { name: "l", content: "d", mode: IFLNK },
        { name: "l/y", content: "y", mode: IFREG },
      ],
      /"l\/y": its path goes through the symbolic link "l"/,
    );
  });

  test("a link with the name of a directory is refused", async () => {
    await refusedTar(
      [
        { name: "d/x", content: "x" },
        { name: "d", type: "2", link: "." },
      ],
      /directory of the same name/,
    );
  });

  test("a later file replaces the link and not its target", async () => {
    const specs = [ok, { name: "l", type: "2", link: "ok" }, { name: "l", content: "new" }];
    expect(await tree(tarBytes(specs), "a.tar")).toEqual({ ok: "0644:ok", l: "0644:new" });
  });

  test("circular links are refused", async () => {
    await refusedTar(
      [ok, { name: "a", type: "2", link: "b" }, { name: "b", type: "2", link: "a" }],
      /symbolic link to itself/,
    );
  });

  test("links inside are kept unchanged: up and down, chained, dangling, to a directory", async () => {
    const specs = [
      { name: "v2/bin/app", content: "x", mode: 0o755 },
      { name: "current", type: "2", link: "v2" },
      { name: "bin/app", type: "2", link: "../current/bin/app" },
      { name: "v2/log", type: "2", link: "../shared/log" },
      { name: "v2/here", type: "2", link: "." },
    ];
    expect(await tree(tarBytes(specs), "a.tar")).toEqual({
      "v2/": "0755",
      "v2/bin/": "0755",
      "v2/bin/app": "0755:x",
      "v2/log": "-> ../shared/log",
      "v2/here": "-> .",
      "bin/": "0755",
      "bin/app": "-> ../current/bin/app",
      current: "-> v2",
    });
  });

  test("an empty target and a very long one are refused", async () => {
    await refusedTar([{ name: "l", type: "2", link: "" }], /symbolic link to nothing/);
    await refusedTar(
      [{ name: "l", type: "2", link: "x", pax: { linkpath: "x".repeat(1025) } }],
      /target is too long/,
    );
  });
});

describe("hard links", () => {
  for (const link of ["missing", "d", "/etc/passwd", "later"]) {
    test(`a link to ${JSON.stringify(link)} is refused: not a file before it in the archive`, async () => {
      await refusedTar(
        [
          { name: "d/x", content: "x" },
          { name: "h", type: "1", link },
          { name: "later", content: "x" },
        ],
        /"h": it is a hard link to/,
      );
    });
  }

  test("a link that leaves the directory is refused", async () => {
    await refusedTar([ok, { name: "h", type: "1", link: "../outside/secret" }], /traversal/);
  });

  test("a later file of the same name does not change the other name", async () => {
    const specs = [ok, { name: "h", type: "1", link: "ok" }, { name: "ok", content: "new" }];
    expect(await tree(tarBytes(specs), "a.tar")).toEqual({ h: "0644:ok", ok: "0644:new" });
  });

  test("a link to itself changes nothing", async () => {
    const specs = [ok, { name: "./ok", type: "1", link: "ok" }];
    expect(await tree(tarBytes(specs), "a.tar")).toEqual({ ok: "0644:ok" });
  });
});

describe("kinds of entries", () => {
  for (const [type, what] of [
    ["3", "character-device"],
    ["4", "block-device"],
    ["6", "fifo"],
  ] as const) {
    test(`a ${what} in a tar is refused`, async () => {
      await refusedTar([ok, { name: "dev", type }], new RegExp(`"dev": it is a ${what}`));
    });
  }

  for (const [mode, what] of [
    [0o010644, "fifo"],
    [0o020644, "character-device"],
    [0o140644, "socket"],
  ] as const) {
    test(`a ${what} in a zip is refused`, async () => {
      await refusedZip([{ name: "dev", mode }], new RegExp(`"dev": it is a ${what}`));
    });
  }

  test("types that the parser would treat as a file are refused by name", async () => {
    await refusedTar([ok, { name: "big", type: "S", content: "x" }], /"big": it is a sparse file/);
    await refusedTar([ok, { name: "part", type: "M", content: "x" }], /"part": .*multi-volume/);
    await refusedTar([ok, { name: "odd", type: "Z", content: "x" }], /"odd": .*unknown type "Z"/);
  });

  const sparse = (segments: number, version: "0.1" | "1.0"): TarSpec => {
    const numbers = Array.from({ length: segments }, (_, index) => [index * 2, 1]).flat();
    const [major = "", minor = ""] = version.split(".");
    const pax = { "GNU.sparse.realsize": String(segments * 2), "GNU.sparse.name": "disk" };
    if (version === "0.1") {
      const map = numbers.join(",");
      const records = { "GNU.sparse.size": String(segments * 2), "GNU.sparse.map": map };
      return { name: "disk", content: "x".repeat(segments), pax: records };
    }
    const map = `${[segments, ...numbers].join("\n")}\n`;
    const content = map.padEnd(Math.ceil(map.length / 512) * 512, "\0") + "x".repeat(segments);
    const format = { "GNU.sparse.major": major, "GNU.sparse.minor": minor };
    return { name: "disk", content, pax: { ...pax, ...format } };
  };

  test.each(["0.1", "1.0"] as const)(
    "a sparse file of the form %s may have 100,000 segments, and not one more",
    async (version) => {
      await using box = await sandbox();
      const { bytes } = await extractBytes(box, tarBytes([sparse(100_000, version)]), "app.tar");
      expect(bytes).toBe(200_000);
      for (const segments of [100_001, 400_000]) {
        await refusedTar([ok, sparse(segments, version)], /"disk": .*more than 100000 segments/);
      }
    },
  );

  test.each(["x", "g", "L", "K"])(
    "metadata of more than 8 MiB is refused before it is read (header %s)",
    async (type) => {
      const name = type === "L" || type === "K" ? "././@LongLink" : "PaxHeader";
      await refusedTar(
        [ok, { name, type, content: "x", size: (8 << 20) + 1 }],
        /more than the 8 MiB of metadata that dewy reads/,
      );
    },
  );

  test("metadata of exactly 8 MiB is accepted", async () => {
    const comment = "x".repeat((8 << 20) - "8388608 comment=\n".length);
    const bytes = tarBytes([{ ...ok, pax: { comment } }]);
    expect(await tree(bytes, "app.tar")).toEqual({ ok: "0644:ok" });
  });

  test("an extended header of more than 10,000 records is refused", async () => {
    const records = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`a${index}`, ""]));
    expect(await tree(tarBytes([{ ...ok, pax: records(10_000) }]), "app.tar")).toHaveProperty("ok");
    await refusedTar([{ ...ok, pax: records(10_001) }], /more than 10000 records/);
  });

  test("a file in place of a directory is refused, and vice versa", async () => {
    await refusedTar(
      [
        { name: "d/x", content: "x" },
        { name: "d", content: "x" },
      ],
      /directory of the same name/,
    );
    await refusedTar(
      [
        { name: "d", content: "x" },
        { name: "d/", type: "5" },
      ],
      /file of the same name/,
    );
    await refusedTar(
      [
        { name: "d", content: "x" },
        { name: "d/x", content: "x" },
      ],
      /goes through the file "d"/,
    );
  });

  test("global headers and macOS's resource forks are accepted", async () => {
    const specs = [
      {
        name: "pax_global_header",
        type: "g",
        content: "52 comment=0123456789012345678901234567890123456789\n",
      },
      { name: "._ok", content: "fork" },
      { name: "__MACOSX/._ok", content: "fork" },
      ok,
    ];
    expect(Object.keys(await tree(tarBytes(specs), "a.tar"))).toEqual(
      expect.arrayContaining(["._ok", "__MACOSX/._ok", "ok"]),
    );
  });
});

describe("modes, times and owners", () => {
  test("set-id bits and owners are dropped, times are kept, read-only directories can be filled", async () => {
    await using box = await sandbox();
    const specs = [
      { name: "d/", type: "5", mode: 0o2500, mtime: 1_000_000_000 },
      { name: "d/run", content: "x", mode: 0o6755, mtime: 1_100_000_000, uid: 12_345 },
      { name: "d/l", type: "2", link: "run", mtime: 1_200_000_000 },
    ];
    await extractBytes(box, tarBytes(specs), "a.tar");
    const { lstat, chmod } = await import("node:fs/promises");
    const stats = await Promise.all(
      ["d", "d/run", "d/l"].map((path) => lstat(`${box.target}/${path}`)),
    );
    expect(stats.map(({ mtimeMs }) => mtimeMs / 1000)).toEqual([1e9, 1.1e9, 1.2e9]);
    expect(stats.slice(0, 2).map(({ mode }) => mode & 0o7777)).toEqual([0o500, 0o755]);
    expect(stats[1]?.uid).toBe(process.getuid?.());
    await chmod(`${box.target}/d`, 0o755);
  });

  test("a zip without Unix modes gets default modes", async () => {
    const bytes = zipBytes([
      { name: "d/", madeBy: 0 },
      { name: "d\\f", content: "x", madeBy: 0 },
    ]);
    expect(await tree(bytes, "a.zip")).toEqual({ "d/": "0755", "d/f": "0644:x" });
  });
});

describe("limits", () => {
  test("entries are counted, including implied directories", async () => {
    await using box = await sandbox();
    const bytes = tarBytes([{ name: "a/b/c/d/e/f", content: "x" }]);
    await expect(extractBytes(box, bytes, "a.tar", { maxEntries: 5 })).rejects.toThrow(
      /more than 5 entries/,
    );
    await expect(extractBytes(box, bytes, "a.tar", { maxEntries: 6 })).rejects.toThrow(/not empty/);
  });

  test("entries of a zip are counted before the first is read", async () => {
    await using box = await sandbox();
    const bytes = zipBytes([
      { name: "a", content: "x" },
      { name: "b", content: "x" },
    ]);
    await expect(extractBytes(box, bytes, "a.zip", { maxEntries: 1 })).rejects.toThrow(
      /more than 1 /,
    );
    expect(await treeOf(box.target)).toEqual({});
  });

  test("a file that declares too many bytes is refused before it is written", async () => {
    await using box = await sandbox();
    const bytes = tarBytes([ok, { name: "big", content: new Uint8Array(500_000) }]);
    await expect(extractBytes(box, bytes, "a.tar", { maxBytes: 409_600 })).rejects.toThrow(
      /entry "big": it expands to more than 400 KiB/,
    );
    expect(Object.keys(await treeOf(box.target))).toEqual(["ok"]);
  });

  test("a zip that expands to more than it declares is refused", async () => {
    const bomb = { name: "bomb", content: new Uint8Array(50_000_000), size: 1000 };
    await refusedZip([bomb], /"bomb": it has more bytes than the 1000/);
  });

  test("a compressed tail of zeros is refused", async () => {
    await using box = await sandbox();
    const bytes = gzipSync(Buffer.concat([tarBytes([ok]), new Uint8Array(90_000_000)]));
    await expect(extractBytes(box, bytes, "a.tgz", { maxBytes: 1_000_000 })).rejects.toThrow(
      /expands to more than/,
    );
  });
});

describe("damage", () => {
  const whole = gzipSync(tarBytes([{ name: "a", content: "x".repeat(100_000) }, ok]), { level: 0 });

  test("a tar.gz cut anywhere is refused", async () => {
    for (const kept of [20, 600, 50_000, whole.byteLength - 600, whole.byteLength - 1]) {
      await refused(whole.subarray(0, kept), "app.tar.gz", /damaged or truncated/);
    }
  });

  test("a tar without its end is refused", async () => {
    await refused(tarBlocks([ok]), "app.tar", /truncated/);
  });

  test("an empty file is refused", async () => {
    await refused(new Uint8Array(0), "app.tar", /truncated|no files/);
    await refused(new Uint8Array(0), "app.tar.gz", /truncated|no files/);
    await refused(new Uint8Array(0), "app.zip", /truncated/);
  });

  test("an archive without files is refused", async () => {
    await refusedTar([], /has no files/);
    await refusedTar([{ name: "d/", type: "5" }], /has no files/);
    await refusedZip([], /has no files/);
  });

  test("bytes after the end are refused", async () => {
    await refused(Buffer.concat([tarBytes([ok]), Buffer.alloc(512, 1)]), "app.tar", /damaged/);
    await refused(Buffer.concat([whole, Buffer.from("more")]), "app.tar.gz", /damaged/);
  });

  test("a header with a wrong checksum is refused", async () => {
    const bytes = Buffer.from(tarBytes([ok]));
    bytes[0] = 0x21;
    await refused(bytes, "app.tar", /damaged/);
  });

  test("a file that is not an archive is refused", async () => {
    for (const name of ["a.tar", "a.tgz", "a.zip", "a.tar.bz2", "a.tar.xz", "a.tar.zst"]) {
      await refused(Buffer.from("<html>".repeat(1000)), name, /damaged/);
    }
  });

  test("a zip cut short is refused", async () => {
    const bytes = zipBytes([{ name: "a", content: "x".repeat(1000), deflate: false }]);
    await refused(bytes.subarray(0, bytes.byteLength - 5), "a.zip", /damaged or truncated/);
  });

  test("a zip with a wrong checksum, a wrong size, a password or an unknown method is refused", async () => {
    await refusedZip([{ name: "a", content: "x", crc: 1 }], /"a": its checksum/);
    await refusedZip([{ name: "a", content: "xyz", size: 2 }], /"a": it has .* bytes/);
    await refusedZip(
      [{ name: "a", content: "xyz", size: 4 }],
      /"a": it has 3 bytes where the archive declares 4/,
    );
    await refusedZip([{ name: "a", content: "x", flags: 0x801 }], /"a": it is encrypted/);
    await refusedZip([{ name: "a", content: "x", method: 93 }], /"a": its compression method 93/);
  });
});

test("the same is refused for a streamed file of a zip", async () => {
  const content = randomBytes(400_000);
  await refusedZip([{ name: "a", content, crc: 1 }], /"a": its checksum/);
  await refusedZip([{ name: "a", content, size: 399_999 }], /"a": .*too many bytes/);
  await refusedZip([{ name: "a", content, size: 400_001 }], /"a": .*not enough bytes/);
});

test("gzip in several members is one archive", async () => {
  const bytes = tarBytes([ok]);
  const members = Buffer.concat([gzipSync(bytes.subarray(0, 700)), gzipSync(bytes.subarray(700))]);
  expect(await tree(members, "a.tar.gz")).toEqual({ ok: "0644:ok" });
});

test("UTF-8 names of a zip without the UTF-8 flag are read as UTF-8", async () => {
  const bytes = zipBytes([{ name: Buffer.from("grüße"), content: "x" }]);
  expect(Object.keys(await tree(bytes, "a.zip"))).toEqual(["grüße"]);
});

test("an abort rejects with an AbortedError", async () => {
  await using box = await sandbox();
  const stop = AbortSignal.abort(new Error("enough"));
  await expect(
    extractBytes(box, gzipSync(tarBytes([ok])), "a.tar.gz", {}, stop),
  ).rejects.toMatchObject({ name: "AbortedError" });
});

test("no child process is left when an archive is refused half-way", async () => {
  await using box = await sandbox();
  const tar = tarBytes([
    { name: "../x", content: "x" },
    { name: "a", content: new Uint8Array(3e7) },
  ]);
  const bytes = execFileSync("bzip2", ["-c"], { input: tar, maxBuffer: 1e8 });
  await expect(extractBytes(box, bytes, "a.tar.bz2")).rejects.toThrow(/traversal/);
});
