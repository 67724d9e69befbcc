import type { EventSink } from "../../core/event.ts";
import type { GuardFetch } from "../../registries/driver.ts";
import { checkProxies, hasProxy, type ProxyChoice, proxyFor } from "./proxy_variables.ts";

/** Options of {@link createHostFetch}. */
export interface HostFetchOptions {
  /**
   * Environment variables: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` (the lower-case
   * names take precedence), `SSL_CERT_FILE` and `NODE_EXTRA_CA_CERTS`.
   */
  env: Readonly<Record<string, string | undefined>>;
  /** A file of PEM certificates to trust in addition to the runtime's own. */
  caFile?: string | undefined;
  /** Receives a warning for an unusable file in a variable. Defaults to ignoring it. */
  emit?: EventSink;
}

/**
 * Creates a `fetch` that uses the proxies of the environment and trusts private CAs, in the same
 * way on Node, Deno and Bun. Without either it is the runtime's own `fetch`.
 *
 * `NO_PROXY` is a list of hosts, `.domains`, `host:port`, IPv4 networks (`10.0.0.0/8`) and `*`. A
 * host includes its subdomains; loopback addresses are not excluded by default. All certificates
 * are added to the runtime's roots, also those of `SSL_CERT_FILE`, which replace the roots in
 * OpenSSL. The proxy is chosen by the URL of the call; redirects that `fetch` follows itself stay
 * on it.
 *
 * @param options The environment, and the value of `--ca-file`.
 * @throws {ConfigError} If a proxy variable is not an `http://` or `https://` URL, or the CA file
 * cannot be read or contains no certificate. An unusable file in a variable is a warning at the first request.
 *
 * @example
 * ```ts
 * import { createHostFetch } from "dewy/host";
 *
 * const fetch = await createHostFetch({ env: { HTTPS_PROXY: "http://proxy.internal:3128" } });
 * if (fetch === globalThis.fetch) throw new Error("the proxy was ignored");
 * ```
 */
export async function createHostFetch(options: HostFetchOptions): Promise<typeof fetch> {
  const { env, caFile } = options;
  checkProxies(env);
  if (!hasProxy(env) && !namesCertificates(options)) return globalThis.fetch;
  // Checking all certificates of a system takes longer than a start: those of variables wait for a request.
  const checked = caFile ? await trustedCertificates(options) : undefined;
  let made: Promise<typeof fetch> | undefined;
  return async (input, init) => {
    made ??= Promise.resolve(checked ?? trustedCertificates(options)).then((certificates) =>
      runtimeFetch(env, certificates),
    );
    return (await made)(input, init);
  };
}

function namesCertificates({ env, caFile }: HostFetchOptions): boolean {
  return Boolean(caFile || env.SSL_CERT_FILE || env.NODE_EXTRA_CA_CERTS);
}

/** Returns `undefined` on Deno and Bun: only Node can check addresses before it connects. */
export function createFetchGuard(
  hostFetch: typeof fetch,
  options: HostFetchOptions,
): GuardFetch | undefined {
  if ("Deno" in globalThis || "Bun" in globalThis) return undefined;
  return async (fetch, check) => {
    if (fetch !== hostFetch) return fetch;
    const { createNodeFetch } = await import("./node_fetch.ts");
    const { env } = options;
    // createHostFetch() has warned of unusable files already.
    const certificates = await trustedCertificates({ ...options, emit: () => {} });
    return createNodeFetch((url) => proxyFor(url, env), certificates, check);
  };
}

// Modules are loaded on demand: a start without proxy and private CA needs none of them.

async function trustedCertificates(options: HostFetchOptions): Promise<readonly string[]> {
  const { env, caFile, emit = () => {} } = options;
  if (!namesCertificates(options)) return [];
  const { readTrustedCertificates } = await import("./trust.ts");
  return readTrustedCertificates(env, caFile, emit);
}

async function runtimeFetch(
  env: HostFetchOptions["env"],
  certificates: readonly string[],
): Promise<typeof fetch> {
  if (certificates.length === 0 && !hasProxy(env)) return globalThis.fetch;
  const proxy: ProxyChoice = (url) => proxyFor(url, env);
  const { Deno, Bun } = globalThis as { Deno?: DenoNamespace; Bun?: unknown };
  if (Deno !== undefined) return createDenoFetch(Deno, proxy, certificates);
  if (Bun !== undefined) return createBunFetch(proxy, certificates);
  const { createNodeFetch } = await import("./node_fetch.ts");
  return createNodeFetch(proxy, certificates);
}

/** Bun's own `fetch` with the options that it adds: https://bun.sh/docs/runtime/networking/fetch */
async function createBunFetch(
  proxyFor: ProxyChoice,
  certificates: readonly string[],
): Promise<typeof fetch> {
  const native = globalThis.fetch;
  const { withRuntimeRoots } = await import("./trust.ts");
  // `ca` replaces Bun's own roots.
  const trust = certificates.length === 0 ? {} : { tls: { ca: withRuntimeRoots(certificates) } };
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    // Without `false` Bun reads the proxy variables itself, without the networks of NO_PROXY.
    const bunOptions: object = { proxy: proxyFor(url)?.href ?? false, ...trust };
    return native(input, { ...init, ...bunOptions });
  };
}

/** https://docs.deno.com/api/deno/~/Deno.createHttpClient */
interface DenoNamespace {
  createHttpClient(options: { caCerts?: string[]; proxy?: { url: string } }): unknown;
  env: {
    get(name: string): string | undefined;
    set(name: string, value: string): void;
    delete(name: string): void;
  };
}

/** Deno's own `fetch` with one client for each proxy and one for direct calls. */
function createDenoFetch(
  deno: DenoNamespace,
  proxyFor: ProxyChoice,
  certificates: readonly string[],
): typeof fetch {
  const native = globalThis.fetch;
  const clients = new Map<string, unknown>();
  const createClient = (proxy: URL | undefined): unknown => {
    const options = proxy === undefined ? {} : { proxy: { url: proxy.href } };
    return withoutProxyVariables(deno, () =>
      deno.createHttpClient({ ...options, caCerts: [...certificates] }),
    );
  };
  return (input, init) => {
    const proxy = proxyFor(new URL(input instanceof Request ? input.url : input));
    const key = proxy?.href ?? "";
    const client = clients.get(key) ?? createClient(proxy);
    clients.set(key, client);
    const clientOption: object = { client };
    return native(input, { ...init, ...clientOption });
  };
}

const DENO_PROXY_VARIABLES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap(
  (name) => [name, name.toUpperCase()],
);

/** A client always copies the variables, and ignores the ports and the `*` of NO_PROXY. */
function withoutProxyVariables<T>(deno: DenoNamespace, make: () => T): T {
  const saved = DENO_PROXY_VARIABLES.map((name) => [name, deno.env.get(name)] as const);
  for (const [name] of saved) deno.env.delete(name);
  try {
    return make();
  } finally {
    for (const [name, value] of saved) if (value !== undefined) deno.env.set(name, value);
  }
}
