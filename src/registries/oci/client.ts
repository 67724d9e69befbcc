import { bytesToHex, sha256 } from "../../core/encoding.ts";
import { CredentialError, NotFoundError, RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import {
  createHttpClient,
  type HttpClient,
  type HttpFailure,
  type HttpRequest,
  type HttpText,
} from "../../http/client.ts";
import { nextLink, parseJson } from "../../http/json.ts";
import { guardRedirects, type ResolveHost } from "../../http/redirect.ts";
import { OciAuth } from "./auth/auth.ts";
import type { OciCredential, OciTarget } from "./auth/credential.ts";
import { type OciSourcesContext, ociSources } from "./auth/sources.ts";
import { checkDigest, ociError } from "./errors.ts";
import { OciLimit } from "./rate_limit.ts";
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

export interface OciRepository extends OciTarget {
  plainHttp: boolean;
  /** A host in private address space that may issue tokens; may be empty. */
  realm: string;
}

export interface OciContext extends OciSourcesContext {
  /** Absent on the edge. */
  resolveHost?: ResolveHost | undefined;
}

type Signal = AbortSignal | undefined;

/** Registries reduce it to what they allow. */
const PAGE_SIZE = 1_000;
const MAX_PAGES = 10_000;
const OCI_HINT = "is this an OCI registry?";
/** A million tags of 60 characters. */
const MAX_TAGS_BYTES = 64 * 1024 * 1024;
/** https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests: at least 4 MiB */
const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;
/** Consecutive pages without a new tag. A few may be empty if the registry filters its listing. */
const MAX_STALE_PAGES = 8;
/** {@link PAGE_SIZE} and the limits of servers (50, 100, 250, …) are multiples of it. */
const ROUND_LIMIT = 50;
const DIGEST_HEADER = "docker-content-digest";
/** Enough for every source of credentials and a token or two that expired. */
const MAX_ATTEMPTS = 40;

export function createOciClient(repository: OciRepository, context: OciContext): OciClient {
  return new OciClient(repository, context);
}

/**
 * The calls of the OCI Distribution API that dewy needs, for one repository. Every failure is a DewyError with the
 * registry's own code and message.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
export class OciClient {
  readonly #name: string;
  readonly #registry: string;
  readonly #base: URL;
  readonly #http: HttpClient;
  readonly #limit: OciLimit;
  readonly #auth: OciAuth;
  readonly #checkRedirect: (next: URL) => Promise<void>;

  constructor(repository: OciRepository, context: OciContext) {
    const { registry, plainHttp, realm } = repository;
    const { resolveHost, clock, emit } = context;
    const origin = new URL(`${plainHttp ? "http" : "https"}://${registry}/`);
    this.#name = `${registry}/${repository.repository}`;
    this.#registry = registry;
    this.#base = new URL(`v2/${repository.repository}/`, origin);
    this.#http = createHttpClient(context);
    this.#limit = new OciLimit(registry, context);
    this.#checkRedirect = guardRedirects(origin, resolveHost);
    this.#auth = new OciAuth({
      target: repository,
      rules: { registry: origin, allowedHost: realm, resolveHost },
      sources: ociSources(repository, context),
      http: this.#http,
      clock,
      emit,
    });
  }

  /** All tags, page by page, in the registry's order. */
  async *tags(signal: Signal): AsyncGenerator<readonly string[]> {
    let url: URL | undefined = new URL(`tags/list?n=${PAGE_SIZE}`, this.#base);
    const requested = new Set<string>();
    const known = new Set<string>();
    let sendsLinks = false;
    let stalePages = 0;
    while (url !== undefined) {
      if (requested.has(url.href) || requested.size === MAX_PAGES || stalePages > MAX_STALE_PAGES) {
        throw endlessListing(url);
      }
      requested.add(url.href);
      // Quay has refused an `n` larger than its own limit.
      const accept: number[] = requested.size === 1 ? [400, 413] : [];
      const response = await this.get({ url, signal, maxBytes: MAX_TAGS_BYTES, accept });
      if (accept.includes(response.status)) {
        url = new URL("tags/list", this.#base);
        continue;
      }
      const page = parseTags(parseJson(response.text, url, OCI_HINT), url);
      const added = page.filter((tag) => !known.has(tag));
      for (const tag of added) known.add(tag);
      if (added.length > 0) yield added;
      stalePages = added.length > 0 ? 0 : stalePages + 1;
      const linked = nextPage(response.headers.get("link"), url);
      sendsLinks ||= linked !== undefined;
      url = linked ?? (sendsLinks || stalePages > 0 ? undefined : unlinkedPage(page, url));
    }
  }

  /**
   * The current digest of a tag, or `undefined` if the tag does not exist. Counts as a pull only if HEAD is not enough:
   * Docker Hub does not count HEAD, but some registries answer it with 404 or 405, or without the digest, which the
   * specification only recommends.
   */
  async digest(reference: string, signal: Signal): Promise<string | undefined> {
    const url = this.#manifestUrl(reference);
    const head = await this.#getManifest(url, signal, "HEAD", [404, 405, 501]);
    const stated = head.headers.get(DIGEST_HEADER) ?? "";
    if (head.status < 300 && isDigest(stated)) return stated;
    // A 404 may well be true, and requesting a manifest that does not exist costs no pull.
    if (head.status !== 404) this.#limit.assertPull();
    const response = await this.#getManifest(url, signal);
    return response.status === 404 ? undefined : digestOf(response, url);
  }

  /** A verified manifest by its digest; `undefined` if it does not exist. */
  async manifest(digest: string, signal: Signal): Promise<Manifest | undefined> {
    this.#limit.assertPull();
    const url = this.#manifestUrl(digest);
    const response = await this.#getManifest(url, signal);
    if (response.status === 404) return undefined;
    await checkDigest(response.text, digest, url);
    return parseManifest(parseJson(response.text, url, OCI_HINT), url);
  }

  /** The verified configuration of an image. */
  async config({ digest }: Descriptor, signal: Signal): Promise<ImageConfig> {
    const url = new URL(`blobs/${digest}`, this.#base);
    const response = await this.get({ url, signal, maxBytes: MAX_MANIFEST_BYTES });
    await checkDigest(response.text, digest, url);
    return parseImageConfig(parseJson(response.text, url, OCI_HINT), url);
  }

  /**
   * The credential that the registry accepts for pulling a manifest; `undefined` if it requires none. Throws a
   * NotFoundError if the manifest does not exist. Counts as a pull only if HEAD is not enough.
   */
  async credentialFor(digest: string, signal: Signal): Promise<OciCredential | undefined> {
    if ((await this.digest(digest, signal)) !== undefined) {
      return this.#auth.acceptedCredential(signal);
    }
    throw new NotFoundError(
      `Cannot pull ${this.#name}@${digest}: the registry no longer has it; publish a newer version, or this one again`,
    );
  }

  /** Sends an authorized request; for what only verification needs. */
  async get(request: HttpRequest): Promise<HttpText> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      this.#limit.assertOpen();
      const authorization = await this.#auth.authorize(request.signal);
      let refusal: HttpFailure | undefined;
      try {
        const response = await this.#http.text({
          ...request,
          headers: { ...request.headers, ...authorization.headers },
          checkRedirect: this.#checkRedirect,
          followHidden: true,
          toError: (failure) => {
            if (failure.status === 401 || failure.status === 403) refusal = failure;
            return this.#limit.toError(failure) ?? ociError(failure);
          },
        });
        this.#limit.observe(response.headers);
        return response;
      } catch (error) {
        if (refusal === undefined) throw error;
        const outcome = this.#auth.onRefusal(authorization, refusal);
        if (outcome !== "retry") throw outcome ?? error;
      }
    }
    throw new CredentialError(
      `Cannot sign in to ${this.#registry}: it keeps requesting other credentials`,
    );
  }

  #getManifest(url: URL, signal: Signal, method = "GET", accept = [404]): Promise<HttpText> {
    const headers = { accept: MANIFEST_TYPES };
    return this.get({ method, url, headers, signal, accept, maxBytes: MAX_MANIFEST_BYTES });
  }

  #manifestUrl(reference: string): URL {
    return new URL(`manifests/${encodeURIComponent(reference).replace("%3A", ":")}`, this.#base);
  }
}

/**
 * The next page of a listing. Behind a proxy, a registry may link to itself with another scheme, host or port. So only
 * the path and query are used: every page comes from the same origin, and credentials stay there.
 */
export function nextPage(header: string | null, current: URL): URL | undefined {
  // Some registries omit the leading slash: <v2/o/r/tags/list?last=x>.
  const next = nextLink(header?.replace(/<v2\//g, "</v2/") ?? null, current);
  if (next === undefined) return undefined;
  const page = new URL(current);
  page.pathname = next.pathname;
  page.search = next.search;
  return page;
}

/**
 * The next page if the registry sends no `Link`, which the specification allows. More tags may follow a page with the
 * requested number of tags, or some other round number, which could be the server's own limit.
 * See https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
 */
function unlinkedPage(page: readonly string[], current: URL): URL | undefined {
  const last = page.at(-1);
  const mayGoOn = page.length <= PAGE_SIZE && page.length % ROUND_LIMIT === 0;
  if (last === undefined || !mayGoOn) return undefined;
  const next = new URL(current);
  next.searchParams.set("last", last);
  return next;
}

async function digestOf({ headers, text }: HttpText, url: URL): Promise<string> {
  const stated = headers.get(DIGEST_HEADER) ?? "";
  if (!isDigest(stated)) return `sha256:${bytesToHex(await sha256(text))}`;
  await checkDigest(text, stated, url);
  return stated;
}

function endlessListing(url: URL): RemoteError {
  return new RemoteError(
    `Cannot read the tags: the pages do not end (${redactUrl(url)}); is this an OCI registry?`,
    { method: "GET", url: redactUrl(url), retryable: false },
  );
}
