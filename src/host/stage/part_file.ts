import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "../../core/types.ts";
import { safeFileName } from "./safe_name.ts";

/** Where one artifact lies while it is being downloaded and after. */
export interface StagedPaths {
  /** The complete file. */
  final: string;
  /** The bytes so far. */
  part: string;
  /** What the bytes belong to. */
  sidecar: string;
}

/** What a partial file belongs to; its bytes are used only for the very same artifact. */
interface Sidecar {
  url: string;
  revision: string | undefined;
  size: number | undefined;
  digest: string | undefined;
  /** Which start of the machine wrote it. */
  boot: string | undefined;
  /** Written when every byte was there and checked, before the file got its final name. */
  complete?: { bytes: number; sha256: string };
}

/** What an earlier run has left of an artifact. */
export type Leftover =
  | { kind: "none" }
  | { kind: "part"; bytes: number }
  | { kind: "complete"; bytes: number; sha256: string };

/**
 * The names of an artifact's files in the staging directory.
 *
 * @param directory the staging directory.
 * @param name the artifact's name; from outside, so it is made safe.
 * @returns absolute when `directory` is.
 */
export function stagedPaths(directory: string, name: string): StagedPaths {
  const final = join(directory, safeFileName(name));
  return { final, part: `${final}.part`, sidecar: `${final}.part.json` };
}

/**
 * Whether bytes fetched now and bytes fetched later are known to be of the same file. Without a digest or a
 * revision they could be spliced from two.
 *
 * @param artifact the artifact.
 * @returns `true` when an interrupted download may go on where it stopped.
 */
export function isResumable(artifact: Artifact): boolean {
  return artifact.digest !== undefined || artifact.revision !== undefined;
}

async function describe({ url, revision, size, digest }: Artifact): Promise<Sidecar> {
  return { url, revision, size, digest, boot: await bootId() };
}

/** @returns what differs after every start of the machine; `undefined` where there is no such thing. */
async function bootId(): Promise<string | undefined> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  } catch {
    return undefined;
  }
}

/**
 * What a killed process wrote is there; what was written before a power cut may have holes, which only a
 * digest can tell.
 */
async function isSound({ boot }: Sidecar, artifact: Artifact): Promise<boolean> {
  return artifact.digest !== undefined || (boot !== undefined && boot === (await bootId()));
}

function isSame(sidecar: Sidecar, artifact: Artifact): boolean {
  return (
    sidecar.url === artifact.url &&
    sidecar.revision === artifact.revision &&
    sidecar.size === artifact.size &&
    sidecar.digest === artifact.digest
  );
}

/**
 * Looks for what an earlier run has left of the very same artifact.
 *
 * @param paths the artifact's files.
 * @param artifact the artifact.
 * @returns how much of it is there; `none` too when it cannot be told whose bytes they are.
 */
export async function findLeftover(paths: StagedPaths, artifact: Artifact): Promise<Leftover> {
  if (!isResumable(artifact)) return { kind: "none" };
  try {
    const sidecar = JSON.parse(await readFile(paths.sidecar, "utf8")) as Sidecar;
    if (!isSame(sidecar, artifact)) return { kind: "none" };
    const { complete } = sidecar;
    if (complete !== undefined && (await sizeOf(paths.final)) === complete.bytes) {
      return { kind: "complete", ...complete };
    }
    if (!(await isSound(sidecar, artifact))) return { kind: "none" };
    const bytes = await sizeOf(paths.part);
    return bytes === undefined ? { kind: "none" } : { kind: "part", bytes };
  } catch {
    return { kind: "none" };
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

/**
 * Writes down whose bytes the partial file holds, in one step.
 *
 * @param paths the artifact's files.
 * @param artifact the artifact.
 * @param complete set when every byte is there and checked.
 */
export async function writeSidecar(
  paths: StagedPaths,
  artifact: Artifact,
  complete?: { bytes: number; sha256: string },
): Promise<void> {
  const temporary = `${paths.sidecar}.tmp`;
  await writeFile(temporary, JSON.stringify({ ...(await describe(artifact)), complete }));
  await rename(temporary, paths.sidecar);
}

/**
 * Removes everything of one artifact.
 *
 * @param paths the artifact's files.
 */
export async function removeStaged(paths: StagedPaths): Promise<void> {
  for (const path of [paths.final, paths.part, paths.sidecar, `${paths.sidecar}.tmp`]) {
    await rm(path, { force: true });
  }
}
