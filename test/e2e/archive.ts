import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

/** The file that tells which version a release is. */
export const VERSION_FILE = "version.txt";
/** The last file of an archive: a release without it is not whole. */
export const LAST_FILE = "z-last.txt";
/** The name that is chosen on this machine. */
export const ARTIFACT: string = `app_${process.platform}_${process.arch}.tar.gz`;

/**
 * Makes the artifact of a version.
 *
 * @param version what {@link VERSION_FILE} says.
 * @param fillerBytes incompressible bytes in between, to make it slow.
 * @returns a tar.gz.
 */
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
