/**
 * Node's way out: undici, because the built-in `fetch` knows no proxy and no CA that is named after its start.
 *
 * @module
 */
import { createSecureContext } from "node:tls";
import type { ProxyAgent } from "undici";
import type { ProxyChoice } from "./fetch_proxy.ts";
import { withRuntimeRoots } from "./fetch_trust.ts";

/** What undici's `fetch` takes and gives; its own types are not those of the runtime, its values are. */
type FetchWithDispatcher = (
  url: string,
  init: RequestInit & { dispatcher: unknown },
) => Promise<Response>;

/**
 * Makes a `fetch` of undici with undici's own dispatchers: those of another version do not fit the built-in one.
 *
 * @param proxyFor finds the proxy of a URL.
 * @param certificates PEM certificates to trust besides the runtime's own.
 * @returns the function.
 */
export async function createNodeFetch(
  proxyFor: ProxyChoice,
  certificates: readonly string[],
): Promise<typeof fetch> {
  const undici = await import("undici");
  const undiciFetch = undici.fetch as unknown as FetchWithDispatcher;
  const trust =
    certificates.length === 0
      ? {}
      : { secureContext: createSecureContext({ ca: withRuntimeRoots(certificates) }) };
  const direct = new undici.Agent({ connect: trust });
  const proxies = new Map<string, ProxyAgent>();

  const throughProxy = (proxy: URL): ProxyAgent => {
    const known = proxies.get(proxy.href);
    if (known !== undefined) return known;
    const agent = new undici.ProxyAgent({
      uri: proxy.origin,
      ...basicAuthorization(proxy),
      // Many proxies allow CONNECT to port 443 only: a plain request is forwarded.
      proxyTunnel: false,
      requestTls: trust,
      proxyTls: trust,
    });
    proxies.set(proxy.href, agent);
    return agent;
  };

  return (input, init) => {
    const request = asInit(input, init);
    const proxy = proxyFor(new URL(request.url));
    const dispatcher = proxy === undefined ? direct : throughProxy(proxy);
    return undiciFetch(request.url, { ...request.init, dispatcher });
  };
}

/** undici does not know the runtime's `Request`, so it is taken apart. */
function asInit(
  input: RequestInfo | URL,
  init: RequestInit = {},
): { url: string; init: RequestInit } {
  if (!(input instanceof Request)) return { url: String(input), init };
  const { url, method, headers, body, redirect, signal } = new Request(input, init);
  const streamed = body === null ? {} : { body, duplex: "half" };
  return { url, init: { method, headers: [...headers], redirect, signal, ...streamed } };
}

function basicAuthorization(proxy: URL): { token?: string } {
  if (proxy.username === "" && proxy.password === "") return {};
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { token: `Basic ${Buffer.from(credentials).toString("base64")}` };
}
