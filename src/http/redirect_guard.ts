import { RemoteError } from "../core/error.ts";
import { isLinkLocalHost, isPrivateHost } from "../core/private_address.ts";

/** The addresses of a host name; rejects when it cannot be looked up. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

/**
 * Guards the redirects of a registry: from a public one, none leads into private address space, and none ever leads to a
 * link-local address.
 *
 * @param registry the registry's address; one in private address space may redirect to others there.
 * @param resolveHost looks up names; absent on the edge, where only what is written counts.
 * @returns a check for `HttpRequest.checkRedirect`; it rejects with a RemoteError.
 */
export function guardRedirects(
  registry: URL,
  resolveHost: ResolveHost | undefined,
): (next: URL) => Promise<void> {
  const hostsOf = async ({ hostname }: URL): Promise<readonly string[]> => {
    // A name that cannot be looked up here may be known to the proxy.
    const addresses = (await resolveHost?.(hostname).catch(() => [])) ?? [];
    return [hostname, ...addresses];
  };
  return async (next) => {
    if (next.hostname === registry.hostname) return;
    const hosts = await hostsOf(next);
    const refuse = (what: string): RemoteError =>
      new RemoteError(`Cannot follow the redirect of ${registry.host} to ${next.host}: ${what}`, {
        retryable: false,
      });
    if (hosts.some(isLinkLocalHost)) throw refuse("it is a link-local address");
    if (!hosts.some(isPrivateHost) || (await hostsOf(registry)).some(isPrivateHost)) return;
    throw refuse("it is inside the private network, and the registry is not");
  };
}
