import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { extractBytes, sandbox, treeOf } from "./extracting.ts";
import { tarBytes } from "./tar_bytes.ts";
import { zipBytes } from "./zip_bytes.ts";

interface VectorEntry {
  name: string;
  type: string;
  mode: number;
  content?: string;
  link?: string;
}

interface Vector {
  name: string;
  archive: string;
  entries: VectorEntry[];
  tree?: Record<string, string>;
  rule?: string;
  notFollowed?: string;
}

const TAR_TYPES: Record<string, string> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  dir: "5",
  fifo: "6",
};
const ZIP_TYPES: Record<string, number> = { file: 0o100000, symlink: 0o120000, dir: 0o040000 };

const { cases } = JSON.parse(
  await readFile(new URL("../../vectors/archive-extract.json", import.meta.url), "utf8"),
) as { cases: Vector[] };

function pack({ archive, entries }: Vector): Uint8Array {
  if (archive.endsWith(".zip")) {
    return zipBytes(
      entries.map(({ name, type, mode, content, link }) => ({
        name,
        content: link ?? content ?? "",
        mode: mode | (ZIP_TYPES[type] ?? 0),
      })),
    );
  }
  return gzipSync(
    tarBytes(entries.map((entry) => ({ ...entry, type: TAR_TYPES[entry.type] ?? "0" }))),
  );
}

for (const vector of cases) {
  const note = vector.notFollowed === undefined ? "" : ` (differs: ${vector.notFollowed})`;
  test(`vector: ${vector.name}${note}`, async () => {
    await using box = await sandbox();
    const extracting = extractBytes(box, pack(vector), vector.archive);
    if (vector.tree === undefined) {
      await expect(extracting).rejects.toMatchObject({
        name: "ArchiveError",
        message: expect.stringContaining(vector.rule ?? "a rule"),
      });
    } else {
      await extracting;
      expect(await treeOf(box.target)).toEqual(vector.tree);
    }
    expect(await treeOf(`${box.root}/outside`)).toEqual({ secret: "0644:untouched" });
  });
}
