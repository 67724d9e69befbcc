import { type LookupAddress, lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { createSecureContext } from "node:tls";
import type { ProxyAgent } from "undici";
import type { GuardFetch } from "../../registries/driver.ts";
import type { ProxyChoice } from "./proxy_variables.ts";
import { withRuntimeRoots } from "./trust.ts";

type AddressCheck = Parameters<GuardFetch>[1];

/** undici's own types differ; its values are those of the runtime. */
type FetchWithDispatcher = (
  url: string,
  init: RequestInit & { dispatcher: unknown },
) => Promise<Response>;

/**
 * Uses undici, because the built-in `fetch` supports neither proxies nor CAs that are set after the
 * start, nor the dispatchers of another undici version. `check` runs before a direct connection.
 */
export async function createNodeFetch(
  proxyFor: ProxyChoice,
  certificates: readonly string[],
  check?: AddressCheck,
): Promise<typeof fetch> {
  // A bundle has its names only below `default`, since it is CommonJS.
  const { default: undici } = await import("undici");
  const undiciFetch = undici.fetch as unknown as FetchWithDispatcher;
  const trust =
    certificates.length === 0
      ? {}
      : { secureContext: createSecureContext({ ca: withRuntimeRoots(certificates) }) };
  const guard = check === undefined ? {} : { lookup: checkedLookup(check) };
  const direct = new undici.Agent({ connect: { ...trust, ...guard } });
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

function checkedLookup(check: AddressCheck): LookupFunction {
  return (host, options, answer) => {
    lookup(host, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return answer(error, []);
      const addresses = found.map(({ address }) => address);
      try {
        check(host, addresses);
      } catch (refusal) {
        return answer(refusal as Error, []);
      }
      const [first] = found;
      if (options.all || first === undefined) return answer(null, found);
      return answer(null, first.address, first.family);
    });
  };
}

/** undici does not accept the runtime's `Request`. */
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
