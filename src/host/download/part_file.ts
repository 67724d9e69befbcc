import { lstat, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "../../core/types.ts";
import { createFile, openOwnFile, temporaryPath } from "../files/atomic_file.ts";
import { bootId } from "../process/processes.ts";
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
  /** What the server identified the bytes by. */
  validator?: string | undefined;
  /** Written when every byte was there and checked, before the file got its final name. */
  complete?: { bytes: number; sha256: string };
}

/** What an earlier run has left of an artifact. */
export type Leftover =
  | { kind: "none" }
  | { kind: "part"; bytes: number; validator: string | undefined }
  | { kind: "complete"; bytes: number; sha256: string };

/**
 * The names of an artifact's files in the staging directory.
 *
 * @param directory the staging directory.
 * @param name the artifact's name; from outside, so it is made safe.
 * @returns absolute when `directory` is.
 */
export function stagedPaths(directory: string, name: string): StagedPaths {
  const final = join(directory, `${safeFileName(name)}.dewy`);
  return { final, part: `${final}-part`, sidecar: `${final}-part.json` };
}

/** The names above, and those of temporary files beside them. */
const STAGED = /\.dewy(?:-part(?:\.json(?:\.[0-9a-f]{16}\.tmp)?)?)?$/;

/**
 * Whether a file in the staging directory is dewy's.
 *
 * @param name the file's name.
 * @returns `false` for names that dewy does not give.
 */
export function isStagedName(name: string): boolean {
  return STAGED.test(name);
}

/**
 * Whether an interrupted download may go on where it stopped: without a digest, nothing would notice that the rest is of
 * another file.
 *
 * @param artifact the artifact.
 * @param validator what the server identified the bytes so far by.
 * @returns `false` if it must start over.
 */
export function isResumable({ digest }: Artifact, validator: string | undefined): boolean {
  return digest !== undefined || validator !== undefined;
}

/**
 * What a killed process wrote is there; what was written before a power cut may have holes, which only a
 * digest can tell.
 */
function isSound({ boot }: Sidecar, artifact: Artifact): boolean {
  return artifact.digest !== undefined || (boot !== undefined && boot === bootId());
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
  try {
    const sidecar = JSON.parse(await readText(paths.sidecar)) as Sidecar;
    if (!isSame(sidecar, artifact)) return { kind: "none" };
    const { complete, validator } = sidecar;
    const isIdentified = artifact.digest !== undefined || artifact.revision !== undefined;
    if (isIdentified && complete !== undefined && (await sizeOf(paths.final)) === complete.bytes) {
      return { kind: "complete", ...complete };
    }
    if (!isResumable(artifact, validator) || !isSound(sidecar, artifact)) return { kind: "none" };
    const bytes = await sizeOf(paths.part);
    return bytes === undefined ? { kind: "none" } : { kind: "part", bytes, validator };
  } catch {
    return { kind: "none" };
  }
}

async function readText(path: string): Promise<string> {
  const file = await openOwnFile(path);
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** Only of a plain file: a link, or a second name of another file, is not what dewy made. */
async function sizeOf(path: string): Promise<number | undefined> {
  const status = await lstat(path).catch(() => undefined);
  return status?.isFile() === true && status.nlink === 1 ? status.size : undefined;
}

/**
 * Writes down whose bytes the partial file holds, in one step.
 *
 * @param paths the artifact's files.
 * @param artifact the artifact.
 * @param more what the server identified the bytes by; and, when every byte is there and checked, their number and hash.
 */
export async function writeSidecar(
  paths: StagedPaths,
  artifact: Artifact,
  more: Pick<Sidecar, "validator" | "complete"> = {},
): Promise<void> {
  const { url, revision, size, digest } = artifact;
  const sidecar: Sidecar = { url, revision, size, digest, boot: bootId(), ...more };
  const temporary = temporaryPath(paths.sidecar);
  const file = await createFile(temporary, 0o600);
  try {
    await file.writeFile(JSON.stringify(sidecar));
  } finally {
    await file.close();
  }
  await rename(temporary, paths.sidecar);
}

/**
 * Removes everything of one artifact.
 *
 * @param paths the artifact's files.
 */
export async function removeStaged(paths: StagedPaths): Promise<void> {
  for (const path of [paths.final, paths.part, paths.sidecar]) {
    await rm(path, { force: true });
  }
}
