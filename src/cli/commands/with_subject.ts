import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import { loadImageEvidence } from "../../container/image_evidence.ts";
import type { ReadyResolution, Registry } from "../../core/types.ts";
import { releaseSubject } from "../../deployers/release_subject.ts";
import { downloadArtifact } from "../../host/download/download.ts";
import { isImageRegistry } from "../../registries/oci/image_registry.ts";
import { imageSubject } from "../../verify/image_subject.ts";
import type { ListedTags, Subject } from "../../verify/types.ts";
import type { CommonConfig } from "../flags/common.ts";

export interface Found {
  version: ReadyResolution;
  registry: Registry;
  /** Absent if an operator has named the tag. */
  listing: ListedTags | undefined;
}

type Config = Pick<CommonConfig, "registry" | "slot" | "calver"> & { maxArtifactSize: number };

/** Passes a version on to be verified: an image as it is in the registry, a file as it was downloaded. */
export async function withSubject<T>(
  found: Found,
  config: Config,
  context: CommandContext,
  use: (subject: Subject) => Promise<T>,
): Promise<T> {
  if (!isImageRegistry(found.registry)) return withDownload(found, config, context, use);
  const { release, artifact } = found.version;
  const evidenceOf = await loadImageEvidence(config, context);
  const evidence = evidenceOf?.(artifact) ?? { digests: async () => [], async *signatures() {} };
  return use(imageSubject(release.tag, artifact, evidence));
}

async function withDownload<T>(
  { version, registry, listing }: Found,
  { maxArtifactSize }: Config,
  { clock, emit, signals, env }: CommandContext,
  use: (subject: Subject) => Promise<T>,
): Promise<T> {
  const { artifact, release } = version;
  const { stop: signal } = signals;
  const directory = await mkdtemp(join(env.DEWY_CACHEDIR || tmpdir(), "dewy-verify-"));
  try {
    const downloaded = await downloadArtifact({
      artifact,
      tag: release.tag,
      directory,
      maxBytes: maxArtifactSize,
      open: (open) => registry.open(artifact, open),
      clock,
      emit,
      signal,
    });
    const candidate = { ...version, ...(listing && { listing }) };
    return await use(releaseSubject(candidate, downloaded, { registry, clock, signal }));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
