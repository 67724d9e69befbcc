import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

/** Contains the version of its release. */
export const VERSION_FILE = "version.txt";
/** The last file of an archive: a release without it is incomplete. */
export const LAST_FILE = "z-last.txt";
/** The artifact that dewy chooses on this machine. */
export const ARTIFACT: string = `app_${process.platform}_${process.arch}.tar.gz`;

/** Returns the artifact of a version, a tar.gz. Incompressible filler makes it slow to download. */
export async function makeArtifact(
  version: string,
  fillerBytes = 0,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = (
    name: string,
    body: string | Uint8Array,
    mode = 0o644,
  ): Parameters<typeof packTar>[0][number] => ({
    header: {
      name,
      size: typeof body === "string" ? Buffer.byteLength(body) : body.length,
      type: "file",
      mode,
      mtime: new Date("2026-01-01T00:00:00Z"),
    },
    body,
  });
  const tar = await packTar([
    file(VERSION_FILE, version),
    file("bin/app", `#!/bin/sh\necho ${version}\n`, 0o755),
    file("filler", randomBytes(fillerBytes)),
    file(LAST_FILE, version),
  ]);
  return new Uint8Array(gzipSync(tar, { level: 1 }));
}
