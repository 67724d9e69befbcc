import * as v from "valibot";
import type { ImageEvidence, ImageSignature } from "../../core/proof.ts";
import type { Artifact } from "../../core/types.ts";
import { parseJson } from "../../http/json.ts";
import type { RegistryContext } from "../driver.ts";
import { createOciClient, nextPage, type OciClient, type OciRepository } from "./client.ts";
import { checkDigest, parseResponse } from "./errors.ts";
import { Descriptor, isDigest, MANIFEST_TYPES } from "./schema.ts";

/** An image as resolved: its digest, and as revision that of the index that its tag names. */
type ResolvedImage = Pick<Artifact, "digest" | "revision">;

/** Each tag or list of referrers, and the newest of its signatures. */
const MAX_SIGNATURES = 16;
const MAX_MANIFEST_BYTES = 4 * 2 ** 20;
const MAX_SIGNATURE_BYTES = 4 * 2 ** 20;
/** They are kept until the image is verified. */
const MAX_EVIDENCE_BYTES = 32 * 2 ** 20;
const MAX_REFERRER_PAGES = 4;
const MAX_DEPTH = 3;
const MAX_INNER_INDEXES = 16;
const HINT = "is this an OCI registry?";
const SHA256 = /^sha256:([0-9a-f]{64})$/;

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle";
/** Of layers with a payload, whose signature is in annotations. */
const COSIGN_TYPES: ReadonlySet<string> = new Set([
  "application/vnd.dev.cosign.simplesigning.v1+json",
  "application/vnd.dsse.envelope.v1+json",
]);
/** Of referrers that may be signatures. Old clients state none. */
const ARTIFACT_TYPE = /^$|sigstore|cosign|dsse/;
/** From registries without an API for referrers: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#unavailable-referrers-api */
const NO_REFERRERS_API: number[] = [400, 404, 405, 406, 501];

const Annotations = v.nullish(v.record(v.string(), v.string()), {});
const SignatureManifest = v.object({
  layers: v.nullish(v.array(v.object({ ...Descriptor.entries, annotations: Annotations })), []),
});
const Referrers = v.object({
  manifests: v.array(v.object({ ...Descriptor.entries, artifactType: v.nullish(v.string(), "") })),
});

type Layer = v.InferOutput<typeof SignatureManifest>["layers"][number];
type Referrer = v.InferOutput<typeof Referrers>["manifests"][number];

/** A signature that has not been read yet. */
interface Found {
  evidence: string;
  sha256: string;
  layer: Layer;
}

/** Opens what cosign and others have attached to the images of a repository. */
export function openImageEvidence(
  repository: OciRepository,
  context: RegistryContext,
): (image: ResolvedImage) => ImageEvidence {
  const client = createOciClient(repository, context);
  const reader = new SignatureReader(repository, client);
  return (image) => evidenceOf(image, client, reader);
}

function evidenceOf(
  image: ResolvedImage,
  client: OciClient,
  reader: SignatureReader,
): ImageEvidence {
  let digests: readonly string[] | undefined;
  let found: readonly Found[] | undefined;
  const read = new Map<Found, ImageSignature>();
  let bytes = 0;
  const digestsOf = async (signal: AbortSignal): Promise<readonly string[]> => {
    digests ??= await coveringDigests(image, client, signal);
    return digests;
  };
  return {
    digests: digestsOf,
    async *signatures(signal) {
      found ??= await reader.find(await digestsOf(signal), signal);
      for (const one of found) {
        let signature = read.get(one);
        if (signature === undefined) {
          bytes += one.layer.size;
          if (bytes > MAX_EVIDENCE_BYTES) return;
          signature = await reader.read(one, signal);
          read.set(one, signature);
        }
        yield signature;
      }
    },
  };
}

/** The image's own digest, and those of the indexes between its tag and the image. */
async function coveringDigests(
  { digest = "", revision = "" }: ResolvedImage,
  client: OciClient,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const indexes =
    revision === digest || !SHA256.test(revision)
      ? undefined
      : await indexesBetween(client, revision, digest, signal);
  return [digest, ...(indexes ?? [])].flatMap((one) => SHA256.exec(one)?.[1] ?? []);
}

/** `undefined` if the image is not in the index. Each manifest is read by its digest, and verified. */
async function indexesBetween(
  client: OciClient,
  index: string,
  image: string,
  signal: AbortSignal,
  depth = 1,
): Promise<readonly string[] | undefined> {
  const manifest = await client.manifest(index, signal);
  if (manifest?.kind !== "index") return undefined;
  if (manifest.entries.some(({ digest }) => digest === image)) return [index];
  if (depth === MAX_DEPTH) return undefined;
  const inner = manifest.entries.filter(({ isIndex }) => isIndex).slice(0, MAX_INNER_INDEXES);
  for (const { digest } of inner) {
    const found = await indexesBetween(client, digest, image, signal, depth + 1);
    if (found !== undefined) return [...found, index];
  }
  return undefined;
}

class SignatureReader {
  readonly #base: URL;
  readonly #client: OciClient;

  constructor({ registry, repository, plainHttp }: OciRepository, client: OciClient) {
    this.#base = new URL(`${plainHttp ? "http" : "https"}://${registry}/v2/${repository}/`);
    this.#client = client;
  }

  async find(digests: readonly string[], signal: AbortSignal): Promise<readonly Found[]> {
    const found: Found[] = [];
    for (const sha256 of digests) {
      const referrers = await this.#referrers(sha256, signal);
      const newest = referrers
        .filter(({ artifactType }) => ARTIFACT_TYPE.test(artifactType))
        .slice(-MAX_SIGNATURES);
      const references = newest.reverse().map(({ digest }) => digest);
      for (const suffix of ["sig", "att"]) references.push(`sha256-${sha256}.${suffix}`);
      for (const evidence of references) {
        const layers = await this.#layers(evidence, signal);
        found.push(...layers.map((layer) => ({ evidence, sha256, layer })));
      }
    }
    return found;
  }

  async read({ evidence, sha256, layer }: Found, signal: AbortSignal): Promise<ImageSignature> {
    const { mediaType, digest, size, annotations } = layer;
    const url = new URL(`blobs/${digest}`, this.#base);
    const { text } = await this.#client.get({ url, signal, maxBytes: size });
    await checkDigest(text, digest, url);
    if (mediaType.startsWith(BUNDLE_TYPE)) return { evidence, sha256, bundle: text };
    const payload = new TextEncoder().encode(text);
    return { evidence, sha256, simple: { payload, annotations: annotations ?? {} } };
  }

  /** The newest first; none if the manifest does not exist. */
  async #layers(reference: string, signal: AbortSignal): Promise<readonly Layer[]> {
    const text = await this.#manifest(reference, signal);
    if (text === undefined) return [];
    const url = this.#url(reference);
    const { layers } = parseResponse(SignatureManifest, parseJson(text, url, HINT), url);
    const isSignature = ({ mediaType, size }: Layer): boolean =>
      (mediaType.startsWith(BUNDLE_TYPE) || COSIGN_TYPES.has(mediaType)) &&
      size <= MAX_SIGNATURE_BYTES;
    return (layers ?? []).filter(isSignature).slice(-MAX_SIGNATURES).reverse();
  }

  async #referrers(sha256: string, signal: AbortSignal): Promise<readonly Referrer[]> {
    const referrers: Referrer[] = [];
    let url: URL | undefined = new URL(`referrers/sha256:${sha256}`, this.#base);
    for (let page = 1; url !== undefined && page <= MAX_REFERRER_PAGES; page += 1) {
      const headers = { accept: INDEX_TYPE };
      const accept = page === 1 ? NO_REFERRERS_API : [];
      const limits = { accept, maxBytes: MAX_MANIFEST_BYTES };
      const response = await this.#client.get({ url, headers, signal, ...limits });
      if (response.status >= 300 || !isIndex(response.headers)) return this.#tagged(sha256, signal);
      const json = parseJson(response.text, url, HINT);
      referrers.push(...parseResponse(Referrers, json, url).manifests);
      url = nextPage(response.headers.get("link"), url);
    }
    return referrers;
  }

  /** The list of referrers in registries that have no API for it. */
  async #tagged(sha256: string, signal: AbortSignal): Promise<readonly Referrer[]> {
    const reference = `sha256-${sha256}`;
    const text = await this.#manifest(reference, signal);
    if (text === undefined) return [];
    const url = this.#url(reference);
    return parseResponse(Referrers, parseJson(text, url, HINT), url).manifests;
  }

  async #manifest(reference: string, signal: AbortSignal): Promise<string | undefined> {
    const url = this.#url(reference);
    const limits = { accept: [404], maxBytes: MAX_MANIFEST_BYTES };
    const request = { url, headers: { accept: MANIFEST_TYPES }, signal, ...limits };
    const { status, text } = await this.#client.get(request);
    if (status === 404) return undefined;
    if (isDigest(reference)) await checkDigest(text, reference, url);
    return text;
  }

  #url(reference: string): URL {
    return new URL(`manifests/${reference}`, this.#base);
  }
}

/** Registries without the API, and what stands before them, may answer with a page of their own. */
function isIndex(headers: Headers): boolean {
  return headers.get("content-type")?.startsWith(INDEX_TYPE) ?? false;
}
