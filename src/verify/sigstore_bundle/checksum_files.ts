import { bytesToHex, sha256 } from "../../core/encoding.ts";
import type { Subject } from "../types.ts";
import type { Bytes } from "./bundle.ts";
import type { SignedFile } from "./content.ts";

export interface ChecksumFile extends SignedFile {
  bytes: Bytes;
  /** Whether it has the digest of the artifact, and not another one. */
  isOfArtifact: boolean;
}

const MAX_BYTES = 2 ** 20;
const MAX_FILES = 4;

/** The checksum files of the release that name the artifact, and have a bundle beside them. */
export async function checksumFilesOf(
  subject: Subject,
  hasBundle: (name: string) => boolean,
): Promise<readonly ChecksumFile[]> {
  const found: ChecksumFile[] = [];
  const candidates = subject.files.filter(({ name }) => isChecksums(name) && hasBundle(name));
  for (const file of candidates.slice(0, MAX_FILES)) {
    const bytes = new Uint8Array(await subject.read(file, MAX_BYTES));
    const digest = digestIn(new TextDecoder().decode(bytes), file.name, subject.name);
    if (digest === undefined) continue;
    const own = bytesToHex(await sha256(bytes));
    found.push({ name: file.name, sha256: own, bytes, isOfArtifact: digest === subject.sha256 });
  }
  return found;
}

function isChecksums(name: string): boolean {
  return /sha-?256|checksum/i.test(name);
}

/** The digest of the artifact in a file of `sha256sum`, with or without `--tag`; a file with one digest names no file. */
function digestIn(text: string, checksums: string, artifact: string): string | undefined {
  const digests = text.split(/\r?\n/).flatMap((line) => {
    const [, plain, name] = /^\\?([0-9a-f]{64})(?:[ \t]+\*?(.+?))?\s*$/i.exec(line) ?? [];
    const [, tagged, tag] = /^SHA-?256 ?\((.+)\) ?= ?([0-9a-f]{64})\s*$/i.exec(line) ?? [];
    const digest = plain ?? tag;
    const file = name ?? tagged ?? (checksums.startsWith(`${artifact}.`) ? artifact : "");
    return digest !== undefined && file.split("/").at(-1) === artifact
      ? [digest.toLowerCase()]
      : [];
  });
  // A file that names the artifact twice could be read in two ways.
  return new Set(digests).size === 1 ? digests[0] : undefined;
}
