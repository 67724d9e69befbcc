/**
 * A canary: some of the machines get the new version first. After one of them reports a failure,
 * none does.
 */
import type { RegistryLogic, VersionQuestion } from "dewy/host";

/** The versions, and the share of machines that get the new one. */
export interface CanaryOptions {
  /** The version for most machines. */
  stable: string;
  /** The version to try. */
  canary: string;
  /** The percentage of machines that try it. */
  percent: number;
  /**
   * Returns the artifact's URL for a kind of machine: `ghr://…`, `s3://…`, `gs://…` or `https://…`.
   */
  artifactUrl(tag: string, machine: Pick<VersionQuestion, "os" | "arch">): string;
}

/**
 * Creates the logic of a registry that tries a version on some machines first, for `serveRegistry`.
 */
export function canaryRegistry(options: CanaryOptions): RegistryLogic {
  const { stable, canary, percent, artifactUrl } = options;
  let isWithdrawn = false;
  return {
    current({ os, arch, address = "" }) {
      const isChosen = !isWithdrawn && bucketOf(`${canary} ${address}`) < percent;
      const tag = isChosen ? canary : stable;
      return { tag, artifactUrl: artifactUrl(tag, { os, arch }) };
    },
    report({ tag, address, error }) {
      console.log(`${address}: ${tag} ${error === undefined ? "is live" : `failed: ${error}`}`);
      if (tag === canary && error !== undefined) isWithdrawn = true;
    },
  };
}

/**
 * Maps a name to one of a hundred buckets, always to the same one. The version is part of the name,
 * so that each version is tried on different machines.
 */
function bucketOf(name: string): number {
  // FNV-1a with a final mix: http://www.isthe.com/chongo/tech/comp/fnv/
  let hash = 0x811c9dc5;
  for (const character of name) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) % 100;
}
