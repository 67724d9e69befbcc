import { X509Certificate } from "node:crypto";
import type { SignedEntity } from "@sigstore/verify";
import { messageOf } from "../../core/message_of.ts";
import type { SignerIdentity } from "../../core/proof.ts";
import { isSameBytes } from "../bytes.ts";
import type { SignedFile } from "../signed_file.ts";
import { type Bundle, BundleError, type Certificate } from "../sigstore_bundle/bundle.ts";
import { verifyContent } from "../sigstore_bundle/content.ts";
import type { Statement } from "../sigstore_bundle/envelope.ts";
import { type LoggedEntry, verifyEntries } from "../sigstore_bundle/log_entry.ts";
import { wasValidAt } from "../sigstore_bundle/logs.ts";
import { importPublicKey } from "../sigstore_bundle/public_key.ts";
import type { RootJson, TrustedRoot } from "../sigstore_bundle/trusted_root.ts";
import { loadSigstore, type SigstorePackages } from "./packages.ts";

/** What a bundle with a certificate proves. */
export interface Signed {
  identity: SignerIdentity;
  /** The extensions of the certificate, by OID: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md */
  extensions: ReadonlyMap<string, string>;
  /** The earliest time that a log or a timestamp authority vouches for. */
  signedAt: Date;
  entries: readonly LoggedEntry[];
  /** What an attestation states; absent for a plain signature. */
  statement?: Statement | undefined;
}

/**
 * Verifies a bundle with a certificate of Sigstore's: that the file is signed, that the certificate is from an authority
 * of the trusted root and in its log, and that a log or a timestamp proves that it was valid when it signed. Whose
 * certificate it may be is for the caller to decide.
 *
 * The library verifies certificates and timestamps. Entries of the transparency log are verified here, because the
 * library takes a log without a start of validity, rejects Rekor v2's entries of envelopes, does not compare the
 * certificate in an entry, and cannot verify the log's promise on Deno.
 *
 * @throws {BundleError} Or an error of the library.
 */
export async function verifyKeyless(
  bundle: Bundle,
  file: SignedFile,
  root: TrustedRoot,
): Promise<Signed> {
  const { signer, content } = bundle;
  if (signer.kind === "key") throw new BundleError("it is signed with a key, not by an identity");
  rejectRoots(signer);
  const sigstore = await loadSigstore();
  const entity = entityOf(bundle, sigstore);
  const key = await importPublicKey(new Uint8Array(entity.key.certificate.publicKey));
  if (key === undefined) throw new BundleError("the certificate has a key of an unknown kind");
  const entries = await verifyEntries(bundle, signer.certificate, root);
  const statement = await verifyContent(content, file, key);
  const identity = verifyCertificate(sigstore, root.json, {
    ...entity,
    tlogEntries: [],
    signature: {
      signature: Buffer.from(content.signature),
      compareDigest: () => false,
      compareSignature: () => false,
      // The content was verified with this key above.
      verifySignature: (used) =>
        isSameBytes(used.export({ type: "spki", format: "der" }), key.spki),
    },
  });
  const signedAt = timesOf(entity, entries);
  return { ...identityOf(identity), signedAt, entries, statement };
}

/** A bundle must not bring its own trust anchor. */
function rejectRoots({ chain }: Certificate): void {
  const isRoot = chain.some((der) => {
    const { subject, issuer } = new X509Certificate(der);
    return subject === issuer;
  });
  if (isRoot) throw new BundleError("its certificate chain has a root certificate");
}

type CertifiedEntity = SignedEntity & { key: { $case: "certificate" } };

function entityOf({ json }: Bundle, { bundle, verify }: SigstorePackages): CertifiedEntity {
  const entity = verify.toSignedEntity(bundle.bundleFromJSON(json));
  if (entity.key.$case !== "certificate") throw new BundleError("it has no certificate");
  return { ...entity, key: entity.key };
}

type LibraryVerifier = InstanceType<SigstorePackages["verify"]["Verifier"]>;
type LibraryIdentity = ReturnType<LibraryVerifier["verify"]>["identity"];

const PROBLEMS: Readonly<Record<string, string>> = {
  CERTIFICATE_ERROR: "its certificate is not trusted",
  TIMESTAMP_ERROR: "the time of its signature is not proved",
};

function verifyCertificate(
  sigstore: SigstorePackages,
  root: RootJson,
  entity: SignedEntity,
): LibraryIdentity {
  try {
    return verifierOf(root, sigstore).verify(entity).identity;
  } catch (error) {
    if (!(error instanceof sigstore.verify.VerificationError)) throw error;
    const problem = PROBLEMS[error.code] ?? "the library refuses it";
    throw new BundleError(`${problem}: ${messageOf(error.cause ?? error)}`, { cause: error });
  }
}

/** What a root names is required: a private instance may have no log of certificates. */
function verifierOf(root: RootJson, { specs, verify }: SigstorePackages): LibraryVerifier {
  const trusted = specs.TrustedRoot.fromJSON(root);
  const ctlogs = trusted.ctlogs.filter((log) => log.publicKey?.validFor?.start !== undefined);
  return new verify.Verifier(verify.toTrustMaterial({ ...trusted, ctlogs, tlogs: [] }), {
    tlogThreshold: 0,
    ctlogThreshold: trusted.ctlogs.length > 0 ? 1 : 0,
    timestampThreshold: 1,
  });
}

/** The earliest time; each is within the validity of the logs' keys. */
function timesOf({ timestamps }: SignedEntity, entries: readonly LoggedEntry[]): Date {
  const stamped = timestamps.flatMap((one) =>
    one.$case === "timestamp-authority" ? [one.timestamp.signingTime] : [],
  );
  for (const { log } of entries) {
    const outside = stamped.find((time) => !wasValidAt(log, time));
    if (outside === undefined) continue;
    throw new BundleError(`the key of ${log.name} was not valid at ${outside.toISOString()}`);
  }
  const promised = entries.flatMap(({ time }) => (time === undefined ? [] : [time]));
  return new Date(Math.min(...[...stamped, ...promised].map((time) => time.getTime())));
}

const REPOSITORY = "1.3.6.1.4.1.57264.1.12";

function identityOf(identity: LibraryIdentity): Pick<Signed, "identity" | "extensions"> {
  const subject = identity?.subjectAlternativeName;
  const issuer = identity?.extensions?.issuer ?? "";
  if (subject === undefined) throw new BundleError("its certificate does not say who has signed");
  const extensions = new Map(
    (identity?.oids ?? []).map(({ oid, value }) => [oid?.id.join(".") ?? "", textOf(value)]),
  );
  return { identity: { issuer, subject, repository: extensions.get(REPOSITORY) }, extensions };
}

/** A UTF-8 string in DER, and in Fulcio's first seven extensions plain text. */
function textOf(value: Buffer): string {
  const [tag, length = 0] = value;
  const header = length < 0x80 ? 2 : 2 + (length & 0x7f);
  return value.subarray(tag === 0x0c ? header : 0).toString("utf8");
}
