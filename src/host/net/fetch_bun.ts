/**
 * Bun's way out: its own `fetch` with the options that it adds. https://bun.sh/docs/runtime/networking/fetch
 *
 * @module
 */
import type { ProxyChoice } from "./proxy.ts";
import { withRuntimeRoots } from "./trust.ts";

/**
 * Makes a `fetch` that names the proxy and the certificates with every call.
 *
 * @param proxyFor finds the proxy of a URL.
 * @param certificates PEM certificates to trust besides the runtime's own.
 * @returns the function.
 */
export function createBunFetch(
  proxyFor: ProxyChoice,
  certificates: readonly string[],
): typeof fetch {
  const native = globalThis.fetch;
  // `ca` takes the place of Bun's own roots.
  const trust = certificates.length === 0 ? {} : { tls: { ca: withRuntimeRoots(certificates) } };

  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    // Anything but `false` makes Bun read the proxy variables again, without the networks of NO_PROXY.
    const bunOptions: object = { proxy: proxyFor(url)?.href ?? false, ...trust };
    return native(input, { ...init, ...bunOptions });
  };
}
