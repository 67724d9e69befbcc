/**
 * The network as a host sees it: behind proxies, and trusting private certificate authorities.
 *
 * @module
 */
import type { EventSink } from "../../core/event.ts";
import type { GuardFetch } from "../../registries/driver.ts";
import type { DenoNamespace } from "./fetch_deno.ts";
import { checkProxies, hasProxy, type ProxyChoice, proxyFor } from "./proxy.ts";

/** What {@link createHostFetch} goes by. */
export interface HostFetchOptions {
  /**
   * Environment variables: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` (each in lower case, too, which
   * wins), `SSL_CERT_FILE` and `NODE_EXTRA_CA_CERTS`.
   */
  env: Readonly<Record<string, string | undefined>>;
  /** A file of PEM certificates to trust besides the runtime's own; none unless told. */
  caFile?: string | undefined;
  /** Hears a warning when `SSL_CERT_FILE` or `NODE_EXTRA_CA_CERTS` is of no use; nobody unless told. */
  emit?: EventSink;
}

/**
 * Makes a `fetch` that goes through the proxies of the environment and trusts private CAs, the same way on Node,
 * Deno and Bun. Without either it is the runtime's own `fetch`.
 *
 * `NO_PROXY` is a list of hosts, `.domains`, `host:port`, IPv4 networks (`10.0.0.0/8`) and `*`; a host excepts its
 * subdomains, too, and loopback is not excepted by itself. All certificates are added to the runtime's roots: also
 * those of `SSL_CERT_FILE`, which OpenSSL would put in their place. The proxy is chosen by the URL of the call: a
 * redirect that `fetch` follows by itself stays on it.
 *
 * @param options the environment, and the value of `--ca-file`.
 * @returns the function.
 * @throws ConfigError when a proxy variable is no `http://` or `https://` URL, or the CA file cannot be read or
 * holds no certificate. A variable that names a bad file is a warning.
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
  const { env } = options;
  checkProxies(env);
  const certificates = await trustedCertificates(options);
  if (certificates.length === 0 && !hasProxy(env)) return globalThis.fetch;
  let made: Promise<typeof fetch> | undefined;
  return async (input, init) => {
    made ??= runtimeFetch((url) => proxyFor(url, env), certificates);
    return (await made)(input, init);
  };
}

/**
 * Makes what guards the `fetch` of {@link createHostFetch}. Only Node can look at addresses before it connects.
 *
 * @param hostFetch the function to guard; any other is left alone.
 * @param options what it was made of.
 * @returns the guard; `undefined` on the other runtimes.
 */
export function createFetchGuard(
  hostFetch: typeof fetch,
  options: HostFetchOptions,
): GuardFetch | undefined {
  if ("Deno" in globalThis || "Bun" in globalThis) return undefined;
  return async (fetch, check) => {
    if (fetch !== hostFetch) return fetch;
    const { createNodeFetch } = await import("./fetch_node.ts");
    const { env } = options;
    // A file that is of no use was told when the function was made.
    const certificates = await trustedCertificates({ ...options, emit: () => {} });
    return createNodeFetch((url) => proxyFor(url, env), certificates, check);
  };
}

// What follows is loaded when it is needed: a start without proxy and private CA pays for none of it.

async function trustedCertificates(options: HostFetchOptions): Promise<readonly string[]> {
  const { env, caFile, emit = () => {} } = options;
  if (!caFile && !env.SSL_CERT_FILE && !env.NODE_EXTRA_CA_CERTS) return [];
  const { readTrustedCertificates } = await import("./trust.ts");
  return readTrustedCertificates(env, caFile, emit);
}

async function runtimeFetch(
  proxy: ProxyChoice,
  certificates: readonly string[],
): Promise<typeof fetch> {
  const { Deno, Bun } = globalThis as { Deno?: DenoNamespace; Bun?: unknown };
  if (Deno !== undefined) {
    const { createDenoFetch } = await import("./fetch_deno.ts");
    return createDenoFetch(Deno, proxy, certificates);
  }
  if (Bun !== undefined) {
    const { createBunFetch } = await import("./fetch_bun.ts");
    return createBunFetch(proxy, certificates);
  }
  const { createNodeFetch } = await import("./fetch_node.ts");
  return createNodeFetch(proxy, certificates);
}
