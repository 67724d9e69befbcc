import type { ProxyChoice } from "./proxy_variables.ts";

/** https://docs.deno.com/api/deno/~/Deno.createHttpClient */
export interface DenoNamespace {
  createHttpClient(options: { caCerts?: string[]; proxy?: { url: string } }): unknown;
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

/** Deno's own `fetch` with one client for each proxy and one for direct calls. */
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
 * A client always copies the proxy variables when it is made, and ignores ports and `*` in
 * NO_PROXY. Nothing else runs between the two loops.
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
