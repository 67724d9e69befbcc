/**
 * The calls of the OCI Distribution API that dewy needs.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 * @module
 */

import { bytesToHex, sha256 } from "../../core/encoding.ts";
import { CredentialError, NotFoundError, RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import {
  createHttpClient,
  type HttpFailure,
  type HttpRequest,
  type HttpText,
} from "../../http/client.ts";
import { parseJson } from "../../http/json.ts";
import { nextLink } from "../../http/link.ts";
import { guardRedirects } from "../../http/redirect.ts";
import { ociAuth } from "./auth/auth.ts";
import type { OciCredential, OciTarget } from "./auth/credential.ts";
import { type OciSourcesIo, ociSources } from "./auth/sources.ts";
import { checkDigest, ociError } from "./error.ts";
import { watchOciLimit } from "./rate_limit.ts";
import {
  type Descriptor,
  type ImageConfig,
  isDigest,
  MANIFEST_TYPES,
  type Manifest,
  parseImageConfig,
  parseManifest,
  parseTags,
} from "./schema.ts";

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
  /** The digest that a tag has now, or `undefined` if there is no such tag. Counts as a pull only where HEAD is not enough. */
  digest(tag: string, signal: AbortSignal | undefined): Promise<string | undefined>;
  /** A manifest by its digest, checked; `undefined`: it is not there. */
  manifest(digest: string, signal: AbortSignal | undefined): Promise<Manifest | undefined>;
  /** The configuration of an image, checked. */
  config(config: Descriptor, signal: AbortSignal | undefined): Promise<ImageConfig>;
  /**
   * Asks whether a manifest is there; counts as a pull only where HEAD is not enough.
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
/** Pages in a row without a new tag. A few may be empty, where a registry filters what it lists. */
const MAX_STALE_PAGES = 8;
/** {@link PAGE_SIZE} and the limits that servers have of their own (50, 100, 250, …) are multiples of it. */
const ROUND_LIMIT = 50;
const DIGEST_HEADER = "docker-content-digest";
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
    const asked = new Set<string>();
    const known = new Set<string>();
    let sendsLinks = false;
    let stale = 0;
    while (url !== undefined) {
      if (asked.has(url.href) || asked.size === MAX_PAGES || stale > MAX_STALE_PAGES) {
        throw endless(url);
      }
      asked.add(url.href);
      // Quay has refused a larger `n` than its own limit.
      const accept: number[] = asked.size === 1 ? [400, 413] : [];
      const answer: HttpText = await ask({ url, signal, maxBytes: MAX_TAGS_BYTES, accept });
      if (accept.includes(answer.status)) {
        url = new URL("tags/list", base);
        continue;
      }
      const page = parseTags(parseJson(answer.text, url, OCI_HINT), url);
      const fresh = page.filter((tag) => !known.has(tag));
      for (const tag of fresh) known.add(tag);
      if (fresh.length > 0) yield fresh;
      stale = fresh.length > 0 ? 0 : stale + 1;
      const linked = nextPage(answer.headers.get("link"), url);
      sendsLinks ||= linked !== undefined;
      url = linked ?? (sendsLinks || stale > 0 ? undefined : unlinkedPage(page, url));
    }
  }

  // Docker Hub does not count HEAD as a pull. But some registries answer HEAD with 404 or 405, or without the digest,
  // which the specification only recommends.
  async function digest(
    reference: string,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const url = manifestUrl(reference);
    const headers = { accept: MANIFEST_TYPES };
    const head = await ask({ method: "HEAD", url, headers, signal, accept: [404, 405, 501] });
    const stated = head.headers.get(DIGEST_HEADER) ?? "";
    if (head.status < 300 && isDigest(stated)) return stated;
    // A 404 may well be true, and asking for what is not there costs no pull.
    if (head.status !== 404) limit.assertPull();
    const answer = await getManifest(url, signal);
    return answer.status === 404 ? undefined : digestOf(answer, url);
  }

  function manifestUrl(reference: string): URL {
    return new URL(`manifests/${encodeURIComponent(reference).replace("%3A", ":")}`, base);
  }

  function getManifest(url: URL, signal: AbortSignal | undefined): Promise<HttpText> {
    const headers = { accept: MANIFEST_TYPES };
    return ask({ url, headers, signal, accept: [404], maxBytes: MAX_MANIFEST_BYTES });
  }

  return {
    tags,
    digest,
    async manifest(expected, signal) {
      limit.assertPull();
      const url = manifestUrl(expected);
      const answer = await getManifest(url, signal);
      if (answer.status === 404) return undefined;
      await checkDigest(answer.text, expected, url);
      return parseManifest(parseJson(answer.text, url, OCI_HINT), url);
    },
    async config(config, signal) {
      const url = new URL(`blobs/${config.digest}`, base);
      const answer = await ask({ url, signal, maxBytes: MAX_MANIFEST_BYTES });
      await checkDigest(answer.text, config.digest, url);
      return parseImageConfig(parseJson(answer.text, url, OCI_HINT), url);
    },
    async credentialFor(pinned, signal) {
      if ((await digest(pinned, signal)) !== undefined) return auth.accepted(signal);
      throw new NotFoundError(
        `Cannot pull ${registry}/${repository.repository}@${pinned}: the registry no longer has it; publish a newer version, or this one again`,
      );
    },
  };
}

/**
 * The next page of a listing. Behind a proxy, a registry may link to itself by another scheme, host or port, so only the
 * path and the query are taken: every page is asked for where the first one was, and credentials stay there.
 *
 * @param header the `Link` header.
 * @param asked the page that was answered.
 * @returns its address; `undefined` on the last page.
 */
export function nextPage(header: string | null, asked: URL): URL | undefined {
  // Seen without the slash that makes it a path: <v2/o/r/tags/list?last=x>.
  const next = nextLink(header?.replace(/<v2\//g, "</v2/") ?? null, asked);
  if (next === undefined) return undefined;
  const page = new URL(asked);
  page.pathname = next.pathname;
  page.search = next.search;
  return page;
}

/**
 * The next page where the registry sends no `Link`, which the specification allows. More tags may follow a page that has
 * as many as were asked for, or some other round number, which could be the server's own limit.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
 */
function unlinkedPage(page: readonly string[], asked: URL): URL | undefined {
  const last = page.at(-1);
  const mayGoOn = page.length <= PAGE_SIZE && page.length % ROUND_LIMIT === 0;
  if (last === undefined || !mayGoOn) return undefined;
  const next = new URL(asked);
  next.searchParams.set("last", last);
  return next;
}

async function digestOf({ headers, text }: HttpText, url: URL): Promise<string> {
  const stated = headers.get(DIGEST_HEADER) ?? "";
  if (!isDigest(stated)) return `sha256:${bytesToHex(await sha256(text))}`;
  await checkDigest(text, stated, url);
  return stated;
}

function endless(url: URL): RemoteError {
  return new RemoteError(
    `Cannot read the tags: the pages do not end (${redactUrl(url)}); is this an OCI registry?`,
    { method: "GET", url: redactUrl(url), retryable: false },
  );
}
