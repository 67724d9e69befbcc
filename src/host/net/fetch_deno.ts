/**
 * Deno's way out: its own `fetch` with clients, which it makes for proxies and certificates.
 *
 * @module
 */
import type { ProxyChoice } from "./proxy.ts";

/** The part of the `Deno` namespace that is used here. https://docs.deno.com/api/deno/~/Deno.createHttpClient */
export interface DenoNamespace {
  /** Makes a client with its own settings and connections. */
  createHttpClient(options: { caCerts?: string[]; proxy?: { url: string } }): unknown;
  /** The environment of the process. */
  env: {
    get(name: string): string | undefined;
    set(name: string, value: string): void;
    delete(name: string): void;
  };
}

const PROXY_VARIABLES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap((name) => [
  name,
  name.toUpperCase(),
]);

/**
 * Makes a `fetch` with one client for each proxy and one for direct calls.
 *
 * @param deno the `Deno` namespace.
 * @param proxyFor finds the proxy of a URL.
 * @param certificates PEM certificates to trust; a client adds them to Deno's own.
 * @returns the function.
 */
export function createDenoFetch(
  deno: DenoNamespace,
  proxyFor: ProxyChoice,
  certificates: readonly string[],
): typeof fetch {
  const native = globalThis.fetch;
  const clients = new Map<string, unknown>();

  const clientFor = (proxy: URL | undefined): unknown => {
    const key = proxy?.href ?? "";
    if (!clients.has(key)) {
      const options = {
        caCerts: [...certificates],
        ...(proxy === undefined ? {} : { proxy: { url: proxy.href } }),
      };
      clients.set(
        key,
        withoutProxyVariables(deno, () => deno.createHttpClient(options)),
      );
    }
    return clients.get(key);
  };

  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const clientOption: object = { client: clientFor(proxyFor(url)) };
    return native(input, { ...init, ...clientOption });
  };
}

/**
 * A client takes the proxy variables over when it is made, whatever its options say, and reads NO_PROXY
 * without ports and `*`. Nothing else runs between the two loops.
 */
function withoutProxyVariables<T>(deno: DenoNamespace, make: () => T): T {
  const saved = PROXY_VARIABLES.map((name) => [name, deno.env.get(name)] as const);
  for (const [name] of saved) deno.env.delete(name);
  try {
    return make();
  } finally {
    for (const [name, value] of saved) if (value !== undefined) deno.env.set(name, value);
  }
}
