import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { checksumFilesOf, signaturesOf } from "../../src/verify/coverage.ts";
import { sha256Hex, subjectOf, verifyContext } from "../support/subject.ts";

const signal = new AbortController().signal;
const context = verifyContext();

interface Release {
  repo: string;
  files: string[];
  rows: { expected?: number }[];
}

/** See test/vectors/release-files.md. */
const RELEASES: readonly Release[] = gunzipSync(
  readFileSync(new URL("../vectors/release-files.jsonl.gz", import.meta.url)),
)
  .toString()
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

const isOfOther = (name: string, artifact: string, files: readonly string[]): boolean =>
  files.some((file) => file !== artifact && file !== name && name.startsWith(`${file}.`));

describe("the checksum files of public releases", () => {
  test("are found for each artifact, by their names", async () => {
    const missed: string[] = [];
    let found = 0;
    for (const { repo, files, rows } of RELEASES) {
      const artifacts = new Set(rows.flatMap(({ expected }) => files[expected ?? -1] ?? []));
      for (const artifact of artifacts) {
        const line = `${sha256Hex("bytes")}  ${artifact}\n`;
        const contents = files.map((name) => [name, name === artifact ? "bytes" : line] as const);
        const sorted = contents.toSorted(([one]) => (one === artifact ? -1 : 1));
        const subject = subjectOf(Object.fromEntries(sorted));
        const checksums = await checksumFilesOf(subject, context, signal);
        found += checksums.filter(({ problem }) => problem === undefined).length;
        const named = files.filter(
          (name) =>
            /(?:sha256|sums?|checksums?)(?:\.txt|sums?)?$/i.test(name) &&
            !isOfOther(name, artifact, files),
        );
        if (named.length > 0 && checksums.length === 0) missed.push(`${repo}: ${named.join()}`);
      }
    }
    expect(missed).toEqual([]);
    expect(found).toBeGreaterThan(1_000);
  });

  test("are nothing that is installed", async () => {
    const wrong = new Set<string>();
    for (const { files } of RELEASES) {
      const subject = subjectOf(Object.fromEntries(["app", ...files].map((name) => [name, ""])));
      for (const { name } of await checksumFilesOf(subject, context, signal)) {
        if (!/sum|sha|hashes/i.test(name) || /\.(?:gz|zip|exe|deb|rpm|json|sig)$/.test(name)) {
          wrong.add(name);
        }
      }
    }
    expect([...wrong]).toEqual([]);
  });
});

describe("signatures", () => {
  const namesOf = async (files: Record<string, string>, suffixes: string[]): Promise<string[]> => {
    const names: string[] = [];
    for await (const pair of signaturesOf(subjectOf(files), context, suffixes, signal)) {
      names.push(`${pair.signature.name} of ${pair.file.name}`);
    }
    return names;
  };

  test("are tried beside the artifact, and then beside checksum files", async () => {
    const files = {
      app: "bytes",
      SHA256SUMS: "",
      "SHA256SUMS.asc": "",
      "app.sig": "",
      "app.asc": "",
    };
    expect(await namesOf(files, [".asc", ".sig"])).toEqual([
      "app.asc of app",
      "app.sig of app",
      "SHA256SUMS.asc of SHA256SUMS",
    ]);
  });

  test("of other files are not tried", async () => {
    const files = {
      app: "bytes",
      other: "",
      "other.asc": "",
      "app.txt.asc": "",
      "checksums.txt": "",
    };
    expect(await namesOf(files, [".asc"])).toEqual([]);
  });
});
