import { DewyError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Proof } from "../../core/proof.ts";
import { artifactOf, checksumFilesOf } from "../coverage.ts";
import { EvidenceError, type SignedFile } from "../signed_file.ts";
import { type Signed, verifyKeyless } from "../sigstore/keyless.ts";
import { type Bundle, BundleError, parseBundle } from "../sigstore_bundle/bundle.ts";
import { logProof } from "../sigstore_bundle/prove.ts";
import { type TrustedRoot, trustedRoots } from "../sigstore_bundle/trusted_root.ts";
import type { Subject, VerifierDriver, VerifyContext } from "../types.ts";
import { inCommand, unproved } from "../unproved.ts";
import { problemOf } from "./identity.ts";
import { type GitHubRule, parseGitHubRule } from "./rule.ts";

export const github: VerifierDriver = {
  kind: "github",
  syntax: "github=OWNER/REPO[@WORKFLOW]",
  description:
    "An attestation that GitHub has of a workflow of this repository, or without @WORKFLOW of an immutable release",
  isService: true,
  open(value, context) {
    const rule = parseGitHubRule(value);
    return { kind: "github", verify: (subject, signal) => prove(rule, subject, context, signal) };
  },
  async offered(subject, context, signal) {
    const { repository } = context.github ?? {};
    if (repository === undefined) return [];
    const found = await attestationsOf({ repository }, subject, context, signal);
    const proofs = found.filter((one) => typeof one !== "string");
    const [problem] = found;
    if (proofs.length === 0 && typeof problem === "string") {
      throw refusal({ repository }, subject, found as readonly string[]);
    }
    return proofs;
  },
};

async function prove(
  rule: GitHubRule,
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<Proof> {
  const reasons: string[] = [];
  for await (const file of filesOf(subject, context, signal)) {
    for (const one of await attestationsOf(rule, subject, context, signal, file)) {
      if (typeof one !== "string") return one;
      reasons.push(one);
    }
  }
  throw refusal(rule, subject, reasons);
}

/** The artifact, then what lists it: the index of an image, and checksum files. */
async function* filesOf(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): AsyncGenerator<SignedFile | undefined> {
  yield undefined;
  const [, ...indexes] = (await subject.image?.digests(signal)) ?? [];
  yield* indexes.map((sha256) => ({ name: `sha256:${sha256}`, sha256 }));
  for (const file of await checksumFilesOf(subject, context, signal)) {
    if (file.problem === undefined) yield file;
  }
}

/** The proofs of the attestations that GitHub has of a file, or why one is not a proof; the newest first. */
async function attestationsOf(
  rule: GitHubRule,
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
  checksums?: SignedFile,
): Promise<readonly (Proof | string)[]> {
  const { github } = context;
  if (github === undefined) return ["this runtime cannot ask GitHub"];
  const file = checksums ?? artifactOf(subject, context);
  const bundles = await github.list(rule.repository, file.sha256, signal);
  const found: (Proof | string)[] = [];
  for (const json of bundles) {
    signal.throwIfAborted();
    found.push(await tryBundle(json, { rule, file, subject, context, checksums }, signal));
  }
  return found;
}

interface Question {
  rule: GitHubRule;
  file: SignedFile;
  subject: Subject;
  context: VerifyContext;
  checksums: SignedFile | undefined;
}

async function tryBundle(
  json: unknown,
  { rule, file, subject, context, checksums }: Question,
  signal: AbortSignal,
): Promise<Proof | string> {
  try {
    const bundle = parseBundle(json);
    const roots = await rootsOf(bundle, context, signal);
    const signed = await verifyByAny(roots, bundle, file);
    return problemOf(signed, rule, subject.tag) ?? proofOf(signed, rule, checksums);
  } catch (error) {
    if (error instanceof DewyError) throw error;
    return error instanceof EvidenceError
      ? messageOf(error)
      : `an attestation is malformed: ${messageOf(error)}`;
  }
}

/** GitHub's own instance of Sigstore, for private repositories and for releases, has no log. */
function rootsOf(
  { entries }: Bundle,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<readonly TrustedRoot[]> {
  const { githubRoots = context.sigstoreRoots } = context;
  const isLogged = entries.length > 0;
  return trustedRoots(isLogged ? context : { ...context, sigstoreRoots: githubRoots }, signal);
}

async function verifyByAny(
  roots: readonly TrustedRoot[],
  bundle: Bundle,
  file: SignedFile,
): Promise<Signed> {
  let first: unknown;
  for (const root of roots) {
    try {
      return await verifyKeyless(bundle, file, root);
    } catch (error) {
      first ??= error;
    }
  }
  throw first ?? new BundleError("there is no trusted root");
}

function proofOf(
  { identity, signedAt, entries }: Signed,
  { repository }: GitHubRule,
  checksums: SignedFile | undefined,
): Proof {
  return {
    kind: "github",
    evidence: `attestation of ${repository} on GitHub`,
    checksums: checksums?.name,
    identity: { ...identity, repository: `https://github.com/${repository}` },
    ...logProof(entries),
    signedAt: signedAt.toISOString(),
  };
}

function refusal({ repository }: GitHubRule, subject: Subject, reasons: readonly string[]) {
  return unproved("github", subject, {
    reasons,
    missing: `GitHub shows no attestation of it in ${repository}; a token for a private repository needs the permission "Attestations: read"`,
    make: "attest it",
    command: `uses: actions/attest-build-provenance@v3 with ${subjectInput(subject)}`,
  });
}

function subjectInput({ name, sha256, image }: Subject): string {
  return image === undefined
    ? `subject-path: ${inCommand(name)}`
    : `subject-name: IMAGE, subject-digest: sha256:${sha256}`;
}
