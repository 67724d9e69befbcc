import { bytesToHex, sha256 } from "../core/encoding.ts";
import { messageOf } from "../core/message_of.ts";
import { printable, shorten } from "../core/text.ts";
import type { Artifact } from "../core/types.ts";
import { type Checksum, parseChecksums } from "./checksum_lines.ts";
import { EvidenceError, hashFile, type SignedFile } from "./signed_file.ts";
import type { Bytes, Subject, VerifyContext } from "./types.ts";

/** A checksum file of the release. */
export interface ChecksumFile extends SignedFile {
  bytes: Bytes;
  /** Why it does not stand for the artifact; `undefined` if it lists the artifact's digest. */
  problem: string | undefined;
  /** Whether the problem is another digest. */
  isMismatch: boolean;
}

/** A signature, and the file that it is beside. */
export interface SignaturePair {
  signature: Artifact;
  file: SignedFile;
  /** Set if the file is a checksum file. */
  checksums?: ChecksumFile | undefined;
}

const MAX_BYTES = 2 ** 20;
const MAX_FILES = 4;

export function artifactOf(
  { name, sha256, hashes, open }: Subject,
  context: VerifyContext,
): SignedFile {
  return { name, sha256, hashes, open, createHash: context.createHash };
}

/**
 * The signatures that can hold for a release: those beside the artifact, then those beside checksum files.
 *
 * @param suffixes What is appended to the name of the signed file, in order of preference.
 */
export async function* signaturesOf(
  subject: Subject,
  context: VerifyContext,
  suffixes: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<SignaturePair> {
  const beside = (name: string): readonly Artifact[] =>
    suffixes.flatMap((suffix) => subject.files.filter((file) => file.name === name + suffix));
  const artifact = artifactOf(subject, context);
  yield* beside(subject.name).map((signature) => ({ signature, file: artifact }));
  const isSigned = (name: string): boolean => beside(name).length > 0;
  for (const checksums of await checksumFilesOf(subject, context, signal, isSigned)) {
    yield* beside(checksums.name).map((signature) => ({ signature, file: checksums, checksums }));
  }
}

/** The checksum files of a release, the artifact's own first. */
export async function checksumFilesOf(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
  isWanted: (name: string) => boolean = () => true,
): Promise<readonly ChecksumFile[]> {
  const candidates = candidatesOf(subject).filter(({ file }) => isWanted(file.name));
  const found: ChecksumFile[] = [];
  for (const candidate of candidates.slice(0, MAX_FILES)) {
    signal.throwIfAborted();
    found.push(await readChecksums(candidate, subject, context, signal));
  }
  return found;
}

const CHECKSUMS = /checksum|sha[-_]?(?:256|512)|shasum|hashes/i;
const OTHERS =
  /\.(?:sig|asc|gpg|pgp|minisig|pem|cert|crt|pub|sigstore|bundle|jsonl?|att|tar|[a-z]*gz|t?xz|txz|zst|bz2|zip|7z|exe|msi|deb|rpm|apk|dmg|pkg|md5|sha1|b2|blake[23]b?|b3)(?:\.txt)?$/i;

/** As in `app.tar.gz.sha256`, or in `app.sha256`, which Rust projects prefer. */
const OF_ONE_FILE = /\.(?:sha-?(?:256|512)(?:sum)?|checksum)(?:\.txt)?$/i;
const ARCHIVE = /\.(?:tar(?:\.\w+)?|tgz|tbz2?|txz|tzst|gz|xz|zst|bz2|zip|7z|exe)$/i;

interface Candidate {
  file: Artifact;
  /** Whether it is for the artifact alone, so that it does not have to name it. */
  isOwn: boolean;
}

/** The checksum file of the artifact, then those of several files; never that of another file. */
function candidatesOf({ name: artifact, files }: Subject): readonly Candidate[] {
  const own: Candidate[] = [];
  const shared: Candidate[] = [];
  for (const file of files) {
    const { name, size = 0 } = file;
    const isChecksums = CHECKSUMS.test(name) && !OTHERS.test(name) && name !== artifact;
    if (!isChecksums || size > MAX_BYTES) continue;
    const owners = ownersOf(name, files);
    if (owners.length === 0) shared.push({ file, isOwn: false });
    if (owners.includes(artifact)) own.push({ file, isOwn: owners.length === 1 });
  }
  return [...own, ...shared];
}

/** What has no signature, for people: the artifact, and its checksum files. */
export function unsignedIn(subject: Subject): string {
  const [first] = candidatesOf(subject);
  const name = first && printable(shorten(first.file.name, 100));
  return `for it, nor for ${name === undefined ? "a checksum file that lists it" : `"${name}"`}`;
}

/** The files that a checksum file can be for by its name; none if it is for several. */
function ownersOf(checksums: string, files: readonly Artifact[]): readonly string[] {
  const owner = checksums.replace(OF_ONE_FILE, "");
  if (owner === checksums) return [];
  const names = files.map(({ name }) => name);
  if (names.includes(owner)) return [owner];
  return names.filter((name) => ARCHIVE.test(name) && name.replace(ARCHIVE, "") === owner);
}

async function readChecksums(
  { file, isOwn }: Candidate,
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<ChecksumFile> {
  const { name } = file;
  const bytes = new Uint8Array(await subject.read(file, MAX_BYTES));
  const own = { name, sha256: bytesToHex(await sha256(bytes)), bytes };
  const listed = digestIn(parseChecksums(bytes), subject.name, isOwn);
  if (typeof listed === "string") return { ...own, problem: listed, isMismatch: false };
  const artifact = artifactOf(subject, context);
  try {
    const isMatch = await hasDigest(artifact, listed, signal);
    const problem = isMatch ? undefined : `it has another digest for "${subject.name}"`;
    return { ...own, problem, isMismatch: !isMatch };
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    return { ...own, problem: messageOf(error), isMismatch: false };
  }
}

interface Digests {
  sha256?: string | undefined;
  sha512?: string | undefined;
}

/** The digests of the artifact in a checksum file, or why there are none. */
function digestIn(all: readonly Checksum[], artifact: string, isOwn: boolean): Digests | string {
  const isBare = isOwn && all.every(({ name }) => name === undefined);
  const listed = all.filter(({ name }) => (name === undefined ? isBare : name === artifact));
  const [sha256, sha512] = (["sha256", "sha512"] as const).map(
    (algorithm) => new Set(listed.flatMap((one) => (one.algorithm === algorithm ? [one.hex] : []))),
  );
  if (listed.length === 0) return `it does not list the SHA-256 or SHA-512 of "${artifact}"`;
  // A file that names the artifact twice could be read in two ways.
  if ((sha256?.size ?? 0) > 1 || (sha512?.size ?? 0) > 1) {
    return `it has several digests for "${artifact}"`;
  }
  return { sha256: [...(sha256 ?? [])][0], sha512: [...(sha512 ?? [])][0] };
}

async function hasDigest(
  file: SignedFile,
  { sha256, sha512 }: Digests,
  signal: AbortSignal,
): Promise<boolean> {
  if (sha256 !== undefined && sha256 !== file.sha256) return false;
  return sha512 === undefined || bytesToHex(await hashFile(file, "sha512", signal)) === sha512;
}
