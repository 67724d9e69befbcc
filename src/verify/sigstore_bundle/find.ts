import * as v from "valibot";
import { bytesToHex, hexToBytes, sha256 } from "../../core/encoding.ts";
import type { ImageEvidence, ImageSignature } from "../../core/proof.ts";
import { artifactOf, type SignaturePair, signaturesOf } from "../coverage.ts";
import type { SignedFile } from "../signed_file.ts";
import type { Bytes, Subject, VerifyContext } from "../types.ts";
import { type Bundle, BundleError, parseBundle } from "./bundle.ts";
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

export async function* bundlesOf(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): AsyncIterable<Candidate> {
  if (subject.image !== undefined) yield* bundlesOfImage(subject, subject.image, signal);
  yield* bundlesOfFiles(subject, context, signal);
}

async function* bundlesOfFiles(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): AsyncIterable<Candidate> {
  let left = MAX_BUNDLES;
  for await (const { signature, file, checksums } of pairsOf(subject, context, signal)) {
    if (left === 0) return;
    left -= 1;
    if (checksums?.problem !== undefined) {
      const parse = (): Promise<never> => Promise.reject(new BundleError(checksums.problem));
      yield { evidence: checksums.name, file, parse };
      continue;
    }
    const bytes = await subject.read(signature, MAX_BUNDLE_BYTES);
    const parse = async (): Promise<Bundle> => parseFile(bytes, file.sha256);
    yield { evidence: signature.name, checksums: checksums?.name, file, parse };
  }
}

/** Bundles beside files, then attestations of several files. */
async function* pairsOf(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): AsyncIterable<SignaturePair> {
  yield* signaturesOf(subject, context, SUFFIXES, signal);
  const { name, files } = subject;
  const file = artifactOf(subject, context);
  const names = new Set([name, ...files.map((one) => one.name)]);
  const shared = files.filter((one) => isOfNoFile(one.name, names));
  yield* shared.map((signature) => ({ signature, file }));
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
