import { stat } from "node:fs/promises";
import type { SharedArtifacts } from "../cache/shared_artifacts.ts";
import type { Context } from "../core/context.ts";
import { ArchiveError, HostError, IntegrityError } from "../core/error.ts";
import type { Proof } from "../core/proof.ts";
import type { Registry } from "../core/types.ts";
import type { Candidate, Deployer } from "../deploy/deployer.ts";
import { EXTRACT_LIMITS } from "../host/archive/budget.ts";
import { extractArchive, placeFile } from "../host/archive/extract.ts";
import { isDiskFull } from "../host/download/disk_space.ts";
import {
  type Downloaded,
  type DownloadRequest,
  downloadArtifact,
} from "../host/download/download.ts";
import { cleanStaging } from "../host/download/part_file.ts";
import { hashOfFile, streamFile } from "../host/download/read_file.ts";
import { isProgram } from "../host/process/program_file.ts";
import { syncFileSystem } from "../host/process/sync_file_system.ts";
import { archiveKind } from "../platform/artifact_kind.ts";
import { placedName } from "../platform/artifact_program.ts";
import type { Gate } from "../verify/gate.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import { releaseSubject } from "./release_subject.ts";

export type StageRelease = Deployer["stage"];

interface StageOptions extends Pick<Context, "clock" | "emit"> {
  registry: Registry;
  /** Where machines share artifacts. Defaults to none. */
  artifacts?: SharedArtifacts | undefined;
  directory: ReleaseDirectory;
  /** Creates the directory from which an interrupted download is resumed. */
  downloads(): Promise<string>;
  maxArtifactBytes: number;
  maxExpandedBytes: number;
  /** Verifies every release before it is extracted. Defaults to none. */
  gate?: Gate;
}

/** Returns the function that downloads, verifies and extracts an artifact into a new release. */
export function stageRelease(options: StageOptions): StageRelease {
  let unverified = "";
  return async (candidate, signal, record) => {
    const { artifact, release } = candidate;
    const { registry, maxArtifactBytes: maxBytes, clock, emit } = options;
    const downloads = await options.downloads();
    const request = { artifact, tag: release.tag, directory: downloads, maxBytes };
    const open: DownloadRequest["open"] = (asked) => registry.open(artifact, asked);
    const downloaded = await download({ ...request, open, clock, emit, signal }, options);
    const digest = `sha256:${downloaded.sha256}`;
    const proofs = await prove(candidate, downloaded, options, signal);
    if (proofs.length === 0 && artifact.digest === undefined && unverified !== artifact.url) {
      unverified = artifact.url;
      emit({ type: "unverified", tag: release.tag, artifact: artifact.name });
    }
    const startedAt = clock.now();
    let made = { entries: 1, bytes: 0 };
    const created = options.directory.create(new Date(startedAt), async (directory, name) => {
      if (proofs.length > 0) await requireSameBytes(candidate, downloaded, signal);
      made = await fill(directory, downloaded.path, candidate, options, signal);
      await syncFileSystem(directory, signal);
      await record({ directory: name, digest, proofs });
    });
    const name = await created.catch(async (error: unknown) => {
      if (isUseless(error, artifact)) await cleanStaging(downloads).catch(() => {});
      throw error;
    });
    await cleanStaging(downloads);
    emit({
      type: "extracted",
      tag: release.tag,
      directory: options.directory.path(name),
      ...made,
      durationMs: clock.now() - startedAt,
    });
    return { directory: name, digest, proofs };
  };
}

function download(request: DownloadRequest, { artifacts }: StageOptions): Promise<Downloaded> {
  if (artifacts === undefined) return downloadArtifact(request);
  return artifacts.obtain({
    ...request,
    download: (open) => downloadArtifact({ ...request, open }),
    bodyOf: ({ path, bytes }) => ({ bytes, open: (offset) => streamFile(path, offset) }),
  });
}

async function prove(
  candidate: Candidate,
  downloaded: Downloaded,
  { gate, emit, registry, clock }: StageOptions,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  if (gate === undefined) return [];
  const subject = releaseSubject(candidate, downloaded, { registry, clock, signal });
  const proofs = await gate.verify(subject, signal);
  const { tag, name: artifact } = subject;
  if (proofs.length > 0) emit({ type: "verified", tag, artifact, proofs });
  return proofs;
}

/** Somebody else may be able to write to the cache directory. */
async function requireSameBytes(
  { release: { tag }, artifact: { name } }: Candidate,
  { path, sha256 }: Downloaded,
  signal: AbortSignal,
): Promise<void> {
  if ((await hashOfFile(path, signal)) === sha256) return;
  throw new IntegrityError(
    `Cannot extract "${name}" of ${tag}: ${path} was changed after it was verified; check who can write there`,
  );
}

/** Unverified bytes are downloaded again, and a full disk needs the space. */
function isUseless(error: unknown, { digest }: Candidate["artifact"]): boolean {
  if (error instanceof ArchiveError) return digest === undefined;
  return error instanceof HostError && isDiskFull(error.cause);
}

async function fill(
  directory: string,
  file: string,
  { release, artifact: { name }, isNamed }: Candidate,
  options: StageOptions,
  signal: AbortSignal,
): Promise<{ entries: number; bytes: number }> {
  if (archiveKind(name) === undefined) {
    const placed = isNamed ? name : placedName(name, release.tag);
    const mode = (await isProgram(file)) ? 0o755 : 0o644;
    await placeFile({ file, name: placed, directory, mode });
    return { entries: 1, bytes: (await stat(file)).size };
  }
  const limits = { ...EXTRACT_LIMITS, maxBytes: options.maxExpandedBytes };
  return extractArchive({ file, name, directory, limits, signal });
}
