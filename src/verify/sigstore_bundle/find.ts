import * as v from "valibot";
import { bytesToHex, hexToBytes, sha256 } from "../../core/encoding.ts";
import type { ImageEvidence, ImageSignature } from "../../core/image_evidence.ts";
import type { Artifact } from "../../core/types.ts";
import type { Subject } from "../types.ts";
import { type Bundle, BundleError, type Bytes, parseBundle } from "./bundle.ts";
import { type ChecksumFile, checksumFilesOf } from "./checksum_files.ts";
import type { SignedFile } from "./content.ts";
import { bundleOfAnnotations, bundleOfBlob } from "./cosign.ts";

/** A bundle that may prove who has signed a release. */
export interface Candidate {
  /** The file, or the image's tag or manifest, that it was found in. */
  evidence: string;
  /** The checksum file that it is for, if it is not for the artifact itself. */
  checksums?: string | undefined;
  /** What it should be about. */
  file: SignedFile;
  /** @throws {BundleError} Or any other error, if it is malformed. */
  parse(): Promise<Bundle>;
}

const SUFFIXES = [".sigstore.json", ".sigstore", ".bundle"];
const MAX_BUNDLE_BYTES = 4 * 2 ** 20;
const MAX_BUNDLES = 8;

export function bundlesOf(subject: Subject, signal: AbortSignal): AsyncIterable<Candidate> {
  const { image } = subject;
  return image === undefined ? bundlesOfFiles(subject) : bundlesOfImage(subject, image, signal);
}

async function* bundlesOfFiles(subject: Subject): AsyncIterable<Candidate> {
  let left = MAX_BUNDLES;
  for await (const { bundle, file, checksums } of signedFiles(subject)) {
    if (left === 0) return;
    left -= 1;
    const bytes = await subject.read(bundle, MAX_BUNDLE_BYTES);
    yield {
      evidence: bundle.name,
      checksums: checksums?.name,
      file,
      async parse() {
        if (checksums?.isOfArtifact === false) {
          throw new BundleError(`${checksums.name} has another digest for "${subject.name}"`);
        }
        return parseFile(bytes, file.sha256);
      },
    };
  }
}

interface SignedPair {
  bundle: Artifact;
  file: SignedFile;
  checksums?: ChecksumFile;
}

/** Bundles beside the artifact, those beside checksum files that name it, then attestations of several files. */
async function* signedFiles(subject: Subject): AsyncIterable<SignedPair> {
  const { name, sha256, open, files } = subject;
  const artifact: SignedFile = { name, sha256, open };
  yield* bundlesBeside(name, files).map((bundle) => ({ bundle, file: artifact }));
  const hasBundle = (file: string): boolean => bundlesBeside(file, files).length > 0;
  for (const checksums of await checksumFilesOf(subject, hasBundle)) {
    const bundles = bundlesBeside(checksums.name, files);
    yield* bundles.map((bundle) => ({ bundle, file: checksums, checksums }));
  }
  const names = new Set([name, ...files.map((file) => file.name)]);
  const shared = files.filter((file) => isOfNoFile(file.name, names));
  yield* shared.map((bundle) => ({ bundle, file: artifact }));
}

function bundlesBeside(name: string, files: readonly Artifact[]): readonly Artifact[] {
  return SUFFIXES.flatMap((suffix) => files.filter((file) => file.name === name + suffix));
}

function isOfNoFile(name: string, names: ReadonlySet<string>): boolean {
  const suffix = SUFFIXES.find((one) => name.endsWith(one));
  if (suffix === undefined || suffix === ".bundle") return false;
  return !names.has(name.slice(0, -suffix.length));
}

function parseFile(bytes: Uint8Array, digest: string): Bundle {
  const json = parseJson(new TextDecoder().decode(bytes));
  return parseBundle(bundleOfBlob(json, hexToBytes(digest)) ?? json);
}

async function* bundlesOfImage(
  subject: Subject,
  image: ImageEvidence,
  signal: AbortSignal,
): AsyncIterable<Candidate> {
  for await (const signature of image.signatures(signal)) {
    const { evidence, sha256, bundle, simple } = signature;
    const file: SignedFile = { name: subject.name, sha256 };
    // An index lists the image as a checksum file lists an artifact.
    const checksums = sha256 === subject.sha256 ? undefined : `sha256:${sha256}`;
    if (bundle !== undefined) {
      yield { evidence, checksums, file, parse: async () => parseBundle(parseJson(bundle)) };
    }
    if (simple !== undefined) {
      const candidate = await simpleCandidate(evidence, file, subject.tag, simple);
      yield { ...candidate, checksums };
    }
  }
}

/** A signature of a payload that names the image, or an attestation about the image. */
async function simpleCandidate(
  evidence: string,
  image: SignedFile,
  tag: string,
  { payload, annotations }: NonNullable<ImageSignature["simple"]>,
): Promise<Candidate> {
  const bytes: Bytes = new Uint8Array(payload);
  const digest = await sha256(bytes);
  const signed = { name: evidence, sha256: bytesToHex(digest), bytes };
  const json = new TextDecoder().decode(bytes);
  const isAttestation = v.is(v.object({ payloadType: v.string() }), tryParse(json));
  return {
    evidence,
    file: isAttestation ? image : signed,
    async parse() {
      if (!isAttestation) requireImage(parseJson(json), image.sha256, tag);
      return parseBundle(bundleOfAnnotations(annotations, bytes, digest));
    },
  };
}

/** https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#simple-signing */
const SIMPLE = v.object({
  critical: v.object({
    type: v.picklist(["cosign container image signature", "atomic container signature"]),
    identity: v.object({ "docker-reference": v.string() }),
    image: v.object({ "docker-manifest-digest": v.string() }),
  }),
});

function requireImage(payload: unknown, digest: string, tag: string): void {
  const parsed = v.safeParse(SIMPLE, payload);
  if (!parsed.success) throw new BundleError("the payload is not one of simple signing");
  const { identity, image } = parsed.output.critical;
  const signed = image["docker-manifest-digest"];
  if (signed !== `sha256:${digest}`) throw new BundleError(`the signature is of ${signed}`);
  // Cosign signs the name of the repository, and others that of the tag.
  const [, named = tag] = /^[^@]*:([^:/@]+)$/.exec(identity["docker-reference"]) ?? [];
  if (named !== tag) throw new BundleError(`the signature is of the tag ${named}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BundleError("it is not JSON", { cause });
  }
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
