import { ConfigError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import type { RegistryTable } from "../registries/driver.ts";
import { splitRegistryUrl } from "../registries/open.ts";
import type { CommandName } from "./flags/table.ts";

/**
 * Checks that a command can deploy from a registry.
 *
 * @param command the command.
 * @param registry the registry's URL.
 * @param registries the drivers.
 * @throws ConfigError that names the right command.
 */
export function checkCommandFits(
  command: Exclude<CommandName, "container list">,
  registry: string,
  registries: RegistryTable,
): void {
  const { scheme } = splitRegistryUrl(registry, registries);
  if (command === "check" || command === "explain" || !Object.hasOwn(registries, scheme)) return;
  const fitting = registries[scheme]?.commands ?? [];
  if (command === "registry") {
    if (fitting.includes("assets")) return;
    throw new ConfigError(
      `Cannot use --upstream "${redactUrl(registry)}" with dewy registry: it serves files, and ${scheme}:// has images, which machines pull themselves`,
    );
  }
  if (fitting.includes(command)) return;
  const names = fitting.map((name) => `\`dewy ${name}\``).join(" or ");
  throw new ConfigError(
    `Cannot use --registry "${redactUrl(registry)}" with dewy ${command}: ${scheme}:// registries are deployed by ${names}`,
  );
}
