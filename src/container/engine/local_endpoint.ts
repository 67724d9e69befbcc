import { ConfigError } from "../../core/error.ts";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|::1)$/i;

/**
 * Refuses an engine of another machine: the ports that it publishes could not be reached from here.
 *
 * @param endpoint its address: `unix:///var/run/docker.sock`, `tcp://10.0.0.1:2375`, `ssh://host`.
 * @param origin where the address comes from, such as `DOCKER_HOST`.
 * @throws ConfigError when it is on another machine.
 */
export function assertLocalEndpoint(endpoint: string, origin: string): void {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/i.exec(endpoint) ?? [];
  if (scheme === "" || ["unix", "npipe", "fd"].includes(scheme.toLowerCase())) return;
  const host = /^(?:[^@/]*@)?(\[[^\]]*\]|[^:/]*)/.exec(rest)?.[1] ?? "";
  if (LOOPBACK.test(host)) return;
  throw new ConfigError(
    `Cannot use the container engine at ${scheme}://${host} (${origin}): it is another machine, and the ports it publishes cannot be reached from here; run dewy on that machine`,
  );
}
