import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import { loadImageEvidence } from "../../agent/open_configured.ts";
import type { ReadyResolution, Registry } from "../../core/types.ts";
import { releaseSubject } from "../../deployers/release_subject.ts";
import { downloadArtifact } from "../../host/download/download.ts";
import { imageSubject } from "../../verify/image_subject.ts";
import type { Subject } from "../../verify/types.ts";
import type { AskConfig } from "../flags/ask.ts";

interface Source {
  registry: Registry;
  config: Pick<AskConfig, "registry" | "slot" | "calver" | "maxArtifactSize">;
  /** Where to make the directory of the download. Defaults to that of temporary files. */
  parent?: string;
}

/**
 * Downloads a version, passes it on with the path of its file, and removes it again. Of an image,
 * only the signatures are read.
 */
export async function withDownload<T>(
  version: ReadyResolution,
  { registry, config, parent }: Source,
  context: CommandContext,
  use: (subject: Subject, file?: string) => Promise<T>,
): Promise<T> {
  const { artifact, release } = version;
  const { clock, emit, signals, env } = context;
  const { stop: signal } = signals;
  const evidenceOf = await loadImageEvidence(config, context);
  if (evidenceOf !== undefined) {
    return use(imageSubject(release.tag, artifact, evidenceOf(artifact)));
  }
  const directory = await mkdtemp(join(parent ?? (env.DEWY_CACHEDIR || tmpdir()), "dewy-verify-"));
  try {
    const downloaded = await downloadArtifact({
      artifact,
      tag: release.tag,
      directory,
      maxBytes: config.maxArtifactSize,
      open: (open) => registry.open(artifact, open),
      clock,
      emit,
      signal,
    });
    const subject = releaseSubject(version, downloaded, { registry, clock, signal });
    return await use(subject, downloaded.path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
