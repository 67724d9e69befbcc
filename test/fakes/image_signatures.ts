/**
 * Attaches signatures to images of a registry, as cosign and others store them.
 *
 * @module
 */
import {
  type BundleJson,
  cosignAnnotations,
  type FakeSigstore,
  simplePayload,
} from "./sigstore.ts";

export interface PushedBlob {
  mediaType: string;
  digest: string;
  size: number;
}

/** Pushes JSON to a repository. */
export interface ImagePublisher {
  blob(value: unknown, mediaType: string): Promise<PushedBlob>;
  /** Without a tag, it has only its digest. */
  manifest(value: unknown, mediaType: string, tag?: string): Promise<PushedBlob>;
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE = "application/vnd.dsse.envelope.v1+json";

/** Signs as `cosign sign` of versions 1 and 2: a layer for each signature, in the manifest of a tag. */
export async function attachSignatures(
  publisher: ImagePublisher,
  digest: string,
  signatures: readonly { payload: string; bundle: BundleJson }[],
): Promise<string> {
  const layers = signatures.map(async ({ payload, bundle }) => ({
    ...(await publisher.blob(JSON.parse(payload), SIMPLE)),
    annotations: cosignAnnotations(bundle),
  }));
  return pushTag(publisher, `${digest.replace(":", "-")}.sig`, await Promise.all(layers));
}

/** Attests as `cosign attest` of versions 1 and 2. */
export async function attachAttestation(
  publisher: ImagePublisher,
  digest: string,
  bundle: BundleJson,
): Promise<string> {
  const layer = {
    ...(await publisher.blob(bundle.dsseEnvelope, ENVELOPE)),
    annotations: cosignAnnotations(bundle),
  };
  return pushTag(publisher, `${digest.replace(":", "-")}.att`, [layer]);
}

/** Attaches a bundle as a referrer: cosign 3, and attestations of GitHub with `push-to-registry`. */
export async function attachBundle(
  publisher: ImagePublisher,
  digest: string,
  bundle: BundleJson,
): Promise<PushedBlob & { artifactType: string }> {
  const manifest = {
    ...(await signatureManifest(publisher, [await publisher.blob(bundle, BUNDLE)])),
    artifactType: BUNDLE,
    subject: { mediaType: MANIFEST, digest, size: 1 },
  };
  return { ...(await publisher.manifest(manifest, MANIFEST)), artifactType: BUNDLE };
}

/** Lists referrers in a tag, for registries without an API for them. */
export async function tagReferrers(
  publisher: ImagePublisher,
  digest: string,
  manifests: readonly PushedBlob[],
): Promise<void> {
  const index = { schemaVersion: 2, mediaType: INDEX, manifests };
  await publisher.manifest(index, INDEX, digest.replace(":", "-"));
}

/** A keyless signature of an image. */
export async function signImage(
  instance: FakeSigstore,
  digest: string,
  signer?: Parameters<FakeSigstore["signFile"]>[1],
): Promise<{ payload: string; bundle: BundleJson }> {
  const payload = simplePayload(digest);
  return { payload, bundle: await instance.signFile(payload, signer) };
}

async function pushTag(
  publisher: ImagePublisher,
  tag: string,
  layers: readonly object[],
): Promise<string> {
  await publisher.manifest(await signatureManifest(publisher, layers), MANIFEST, tag);
  return tag;
}

async function signatureManifest(
  publisher: ImagePublisher,
  layers: readonly object[],
): Promise<object> {
  const config = await publisher.blob({}, "application/vnd.oci.image.config.v1+json");
  return { schemaVersion: 2, mediaType: MANIFEST, config, layers };
}
