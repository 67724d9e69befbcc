/**
 * The calls of the OCI Distribution API that dewy needs.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 * @module
 */
import { CredentialError, NotFoundError, RemoteError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import { createHttpClient, type HttpFailure, type HttpRequest, type HttpText } from "./http.ts";
import { parseJson } from "./http_json.ts";
import { nextLink } from "./link.ts";
import { ociAuth } from "./oci_auth.ts";
import type { OciCredential, OciTarget } from "./oci_credential.ts";
import { checkDigest, ociError } from "./oci_error.ts";
import { watchOciLimit } from "./oci_limit.ts";
import {
  type Descriptor,
  type ImageConfig,
  isDigest,
  MANIFEST_TYPES,
  type Manifest,
  parseImageConfig,
  parseManifest,
  parseTags,
} from "./oci_schema.ts";
import { type OciSourcesIo, ociSources } from "./oci_sources.ts";
import { guardRedirects } from "./redirect_guard.ts";

/** A repository of a registry, and how to speak to it. */
export interface OciRepository extends OciTarget {
  /** Whether it is spoken to without TLS. */
  plainHttp: boolean;
  /** A host of private address space that may hand out tokens; empty: none. */
  realm: string;
}

/** What the client needs from the world. */
export interface OciIo extends OciSourcesIo {
  /** The addresses of a host; absent on the edge. */
  resolveHost?: (host: string) => Promise<readonly string[]>;
}

/** Asks one repository. */
export interface OciClient {
  /** All tags, page by page, in the registry's order. */
  tags(signal: AbortSignal | undefined): AsyncIterable<readonly string[]>;
  /** The digest that a tag has now, by a question that counts as no pull; `undefined`: there is no such tag. */
  digest(tag: string, signal: AbortSignal | undefined): Promise<string | undefined>;
  /** A manifest by its digest, checked; `undefined`: it is not there. */
  manifest(digest: string, signal: AbortSignal | undefined): Promise<Manifest | undefined>;
  /** The configuration of an image, checked. */
  config(config: Descriptor, signal: AbortSignal | undefined): Promise<ImageConfig>;
  /**
   * Asks whether a manifest is there, by a question that counts as no pull.
   *
   * @returns what the registry accepted, for whoever pulls that manifest; `undefined`: it asked for nothing. A
   * NotFoundError: it is not there.
   */
  credentialFor(
    digest: string,
    signal: AbortSignal | undefined,
  ): Promise<OciCredential | undefined>;
}

/** What a page is asked to have; registries cut it down to what they allow. */
const PAGE_SIZE = 1_000;
const MAX_PAGES = 10_000;
// A million tags of 60 characters.
const OCI_HINT = "is this an OCI registry?";
const MAX_TAGS_BYTES = 64 * 1024 * 1024;
/** https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests: at least 4 MiB */
const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;
/** Every place for credentials, and a token or two that ended. */
const MAX_ATTEMPTS = 40;

/**
 * Opens a repository. Nothing is sent before the first question.
 *
 * Every failure is a DewyError with the registry's own code and words.
 *
 * @param repository the repository.
 * @param io the world.
 * @returns the client.
 */
export function createOciClient(repository: OciRepository, io: OciIo): OciClient {
  const { registry, plainHttp, realm } = repository;
  const origin = new URL(`${plainHttp ? "http" : "https"}://${registry}/`);
  const base = new URL(`v2/${repository.repository}/`, origin);
  const http = createHttpClient(io);
  const limit = watchOciLimit(registry, io);
  const { resolveHost } = io;
  const checkRedirect = guardRedirects(origin, resolveHost);
  const rules = {
    registry: origin,
    allowedHost: realm,
    ...(resolveHost === undefined ? {} : { resolveHost }),
  };
  const sources = ociSources(repository, io);
  const { clock, emit } = io;
  const auth = ociAuth({ target: repository, rules, sources, http, clock, emit });

  async function ask(request: HttpRequest): Promise<HttpText> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      limit.assertOpen();
      const proof = await auth.proof(request.signal);
      let refusal: HttpFailure | undefined;
      try {
        const answer = await http.text({
          ...request,
          headers: { ...request.headers, ...proof.headers },
          checkRedirect,
          followHidden: true,
          toError(failure) {
            if (failure.status === 401 || failure.status === 403) refusal = failure;
            return limit.toError(failure) ?? ociError(failure);
          },
        });
        limit.observe(answer.headers);
        return answer;
      } catch (error) {
        if (refusal === undefined) throw error;
        const outcome = auth.refused(proof, refusal);
        if (outcome !== "again") throw outcome ?? error;
      }
    }
    throw new CredentialError(
      `Cannot sign in to ${registry}: it keeps asking for other credentials`,
    );
  }

  async function* tags(signal: AbortSignal | undefined): AsyncGenerator<readonly string[]> {
    let url: URL | undefined = new URL(`tags/list?n=${PAGE_SIZE}`, base);
    const seen = new Set<string>();
    while (url !== undefined) {
      if (seen.has(url.href) || seen.size === MAX_PAGES) throw endless(url);
      seen.add(url.href);
      const answer: HttpText = await ask({ url, signal, maxBytes: MAX_TAGS_BYTES });
      yield parseTags(parseJson(answer.text, url, OCI_HINT), url);
      url = nextPage(answer.headers.get("link"), url);
    }
  }

  function head(url: URL, signal: AbortSignal | undefined): Promise<HttpText> {
    const headers = { accept: MANIFEST_TYPES };
    return ask({ method: "HEAD", url, headers, signal, accept: [404] });
  }

  async function digest(tag: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    const url = new URL(`manifests/${encodeURIComponent(tag)}`, base);
    const answer = await head(url, signal);
    if (answer.status === 404) return undefined;
    const found = answer.headers.get("docker-content-digest") ?? "";
    if (isDigest(found)) return found;
    const what = found === "" ? "no digest" : "a digest that cannot be read";
    throw new RemoteError(
      `Cannot read ${redactUrl(url)}: the answer has ${what} in Docker-Content-Digest; does a proxy remove it?`,
      { method: "HEAD", url: redactUrl(url), status: answer.status, retryable: false },
    );
  }

  return {
    tags,
    digest,
    async manifest(digestOf, signal) {
      limit.assertPull();
      const url = new URL(`manifests/${digestOf}`, base);
      const answer = await ask({
        url,
        headers: { accept: MANIFEST_TYPES },
        signal,
        accept: [404],
        maxBytes: MAX_MANIFEST_BYTES,
      });
      if (answer.status === 404) return undefined;
      await checkDigest(answer.text, digestOf, url);
      return parseManifest(parseJson(answer.text, url, OCI_HINT), url);
    },
    async config(config, signal) {
      const url = new URL(`blobs/${config.digest}`, base);
      const answer = await ask({ url, signal, maxBytes: MAX_MANIFEST_BYTES });
      await checkDigest(answer.text, config.digest, url);
      return parseImageConfig(parseJson(answer.text, url, OCI_HINT), url);
    },
    async credentialFor(digestOf, signal) {
      const answer = await head(new URL(`manifests/${digestOf}`, base), signal);
      if (answer.status !== 404) return auth.accepted(signal);
      throw new NotFoundError(
        `Cannot pull ${registry}/${repository.repository}@${digestOf}: the registry no longer has it; publish a newer version, or this one again`,
      );
    },
  };
}

/**
 * The next page of a listing. The registry may name itself by another scheme or port, as behind a proxy: it is asked
 * where it was asked before.
 *
 * @param header the `Link` header.
 * @param asked the page that was answered.
 * @returns its address; `undefined` on the last page.
 * @throws RemoteError when it leads to another host, which must not see our credentials and has no say in the list.
 */
export function nextPage(header: string | null, asked: URL): URL | undefined {
  // Seen without the slash that makes it a path: <v2/o/r/tags/list?last=x>.
  const next = nextLink(header?.replace(/<v2\//g, "</v2/") ?? null, asked);
  if (next === undefined) return undefined;
  if (next.hostname !== asked.hostname) {
    throw new RemoteError(
      `Cannot read the tags from ${redactUrl(asked)}: the next page is said to be at ${next.host}, another host`,
      { method: "GET", url: redactUrl(asked), retryable: false },
    );
  }
  return new URL(next.pathname + next.search, asked);
}

function endless(url: URL): RemoteError {
  return new RemoteError(
    `Cannot read the tags: the pages do not end (${redactUrl(url)}); is this an OCI registry?`,
    { method: "GET", url: redactUrl(url), retryable: false },
  );
}
