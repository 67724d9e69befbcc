/**
 * A canary: a part of the machines gets the new version first, and nobody any more once one of them reports a failure.
 */
import type { RegistryLogic, VersionQuestion } from "dewy/host";

/** Which versions there are, and who gets which. */
export interface CanaryOptions {
  /** The version of most machines. */
  stable: string;
  /** The version to try. */
  canary: string;
  /** How many machines of a hundred try it. */
  percent: number;
  /** Where the artifact of a version for a kind of machine is: `ghr://…`, `s3://…`, `gs://…` or `https://…`. */
  artifactUrl(tag: string, machine: Pick<VersionQuestion, "os" | "arch">): string;
}

/**
 * Makes the logic of a registry that tries a version on some machines first.
 *
 * @param options the versions and their shares.
 * @returns the logic, for `serveRegistry`.
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
 * Puts a name into one of a hundred buckets, always the same one. The version is part of the name, so that it is not
 * the same machines that try every version.
 */
function bucketOf(name: string): number {
  // FNV-1a, and a last mix: http://www.isthe.com/chongo/tech/comp/fnv/
  let hash = 0x811c9dc5;
  for (const character of name) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) % 100;
}
