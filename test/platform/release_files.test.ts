import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { selectArtifact } from "../../src/platform/artifact_choice.ts";
import { fileKind, stemOf } from "../../src/platform/artifact_kind.ts";

interface Row {
  platform: string;
  class: "archive" | "raw" | "absent" | "emulated";
  expected?: number;
  libc?: "glibc" | "musl";
  package?: string;
  among?: number;
}

interface ReleaseFiles {
  repo: string;
  version: string;
  files: readonly string[];
  rows: readonly Row[];
}

// See test/vectors/release-files.md.
const RELEASES: readonly ReleaseFiles[] = gunzipSync(
  readFileSync(new URL("../vectors/release-files.jsonl.gz", import.meta.url)),
)
  .toString()
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as ReleaseFiles);

/** How a row ended: the file that is meant, none, another program for the platform, or a file for another platform. */
type Outcome = "right" | "none" | "another" | "wrong";

function judge(
  release: ReleaseFiles,
  row: Row,
  names: readonly string[],
  emulation: boolean,
): Outcome {
  const { repo, files, rows } = release;
  const [os = "", arch = ""] = row.platform.split("/");
  const platform = { os, arch, ...(row.libc === undefined ? {} : { libc: row.libc }) };
  const [, repository = ""] = repo.split("/");
  const chosen = selectArtifact(names, platform, { repository, emulation });
  const refused = row.class === "absent" || (row.class === "emulated" && !emulation);
  const expected = refused || row.expected === undefined ? undefined : files[row.expected];
  if (chosen === expected) return "right";
  if (chosen === undefined) return "none";
  const isForPlatform = rows.some(
    (other) => other.platform === row.platform && files[other.expected ?? -1] === chosen,
  );
  return isForPlatform ? "another" : "wrong";
}

/** Names of files for other machines and of by-products, as releases have them beside the files that are meant. */
function decoysOf(names: readonly string[]): string[] {
  const others = ["386", "i686", "armv7", "armv6", "riscv64", "s390x", "ppc64le", "loong64"];
  const systems = ["freebsd", "netbsd", "android"];
  const decoys = names.flatMap((name) => {
    const { kind } = fileKind(name);
    if (kind !== "archive" && kind !== "executable") return [];
    const stem = stemOf(name);
    const suffix = name.slice(stem.length);
    const arch = /amd64|x86_64|x64|arm64|aarch64/.exec(name)?.[0];
    const systemWords = /linux|darwin|macos|windows/gi;
    const hasSystem = systemWords.test(name);
    return [
      ...(arch === undefined ? [] : others.map((other) => name.replace(arch, other))),
      ...(hasSystem ? systems.map((other) => name.replaceAll(systemWords, other)) : []),
      ...(hasSystem ? ["-debug", "-sbom"].map((word) => `${stem}${word}${suffix}`) : []),
      ...(/linux/i.test(name) ? [`${stem}-musl${suffix}`] : []),
    ];
  });
  return decoys.filter((name) => !names.includes(name));
}

/** The same order at every run, and none that a registry would have. */
function shuffled(names: readonly string[]): string[] {
  const scatter = (text: string): number =>
    [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 1_000_003, 7);
  return [...names].sort((a, b) => scatter(a) - scatter(b));
}

function count(
  isMeant: (row: Row, release: ReleaseFiles) => boolean,
  namesOf: (files: readonly string[]) => readonly string[],
  emulation = false,
): Record<Outcome | "all", number> {
  const counts = { right: 0, none: 0, another: 0, wrong: 0, all: 0 };
  for (const release of RELEASES) {
    const names = namesOf(release.files);
    for (const row of release.rows.filter((one) => isMeant(one, release))) {
      counts[judge(release, row, names, emulation)]++;
      counts.all++;
    }
  }
  return counts;
}

/** The names of each release, made once. */
function once(
  namesOf: (files: readonly string[]) => readonly string[],
): (files: readonly string[]) => readonly string[] {
  const made = new Map<readonly string[], readonly string[]>();
  return (files) => {
    const names = made.get(files) ?? namesOf(files);
    made.set(files, names);
    return names;
  };
}

const isOneProgram = ({ class: kind, among = 1 }: Row) => kind === "archive" && among === 1;
const isMainProgram = (row: Row, { repo }: ReleaseFiles) =>
  row.class === "archive" && (row.among ?? 1) > 1 && (row.package ?? repo) === repo;
const isBare = ({ class: kind, expected = -1 }: Row, { files }: ReleaseFiles) =>
  kind === "raw" && fileKind(files[expected] ?? "").kind === "executable";

describe.each([
  ["as listed", (files: readonly string[]) => files],
  ["backwards", (files: readonly string[]) => files.toReversed()],
  [
    "shuffled among made-up files for other machines",
    once((files) => shuffled([...files, ...decoysOf(files)])),
  ],
] as const)("the releases of public projects, %s", (_, namesOf) => {
  test("give the right archive where there is one program, and never a wrong one", () => {
    const { right, wrong, another, all } = count(isOneProgram, namesOf);
    expect({ wrong, another }).toEqual({ wrong: 0, another: 0 });
    expect(right / all).toBeGreaterThanOrEqual(0.992);
  });

  test("give the repository's own program where there are several", () => {
    const { right, all } = count(isMainProgram, namesOf);
    expect(all).toBeGreaterThan(0);
    expect(right).toBe(all);
  });

  test("give bare executables, and never one for another platform", () => {
    const { right, wrong, another, all } = count(isBare, namesOf);
    expect(wrong).toBe(0);
    expect(right / (all - another)).toBeGreaterThanOrEqual(0.8);
  });

  test("give nothing to platforms that they do not support", () => {
    const { right, all } = count((row) => row.class === "absent", namesOf);
    expect(right / all).toBeGreaterThanOrEqual(0.97);
  });
});

test("the releases of public projects are emulated only if that is asked for", () => {
  const isEmulated = (row: Row) => row.class === "emulated";
  const namesOf = (files: readonly string[]) => files;
  const off = count(isEmulated, namesOf);
  const on = count(isEmulated, namesOf, true);
  // What is chosen without it is universal, or names no architecture.
  expect(off.wrong).toBe(0);
  expect(off.another / off.all).toBeLessThanOrEqual(0.06);
  expect(on.right / on.all).toBeGreaterThanOrEqual(0.95);
});
