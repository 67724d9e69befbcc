import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import type { ReadyResolution, Registry } from "../../core/types.ts";
import { releaseSubject } from "../../deployers/release_subject.ts";
import { downloadArtifact } from "../../host/download/download.ts";
import type { Subject } from "../../verify/types.ts";

interface Source {
  registry: Registry;
  maxArtifactSize: number;
}

/** Downloads a version, passes it on, and removes it again. */
export async function withDownload<T>(
  version: ReadyResolution,
  { registry, maxArtifactSize }: Source,
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
    return await use(releaseSubject(version, downloaded, { registry, clock, signal }));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
