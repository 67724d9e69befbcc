import { ConfigError } from "../core/error.ts";
import { redactUrl, splitUrl } from "../core/url.ts";
import type { RegistryTable } from "../registry/mod.ts";
import type { CommandName } from "./flags.ts";
import type { ReservedCommand } from "./parse_argv.ts";

/**
 * Checks that a command can deploy from a registry.
 *
 * @param command the command.
 * @param registry the registry's URL.
 * @param registries the drivers.
 * @throws ConfigError that names the right command.
 */
export function checkCommandFits(
  command: CommandName | ReservedCommand,
  registry: string,
  registries: RegistryTable,
): void {
  const { scheme } = splitUrl(registry, "--registry");
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

/**
 * The end of a command that is known, but not part of this version.
 *
 * @param command the command.
 * @param registry the registry's URL.
 * @param registries the drivers.
 * @returns the error to throw: the registry is of another command, or the command is still to come.
 */
export function reservedCommand(
  command: ReservedCommand,
  registry: string,
  registries: RegistryTable,
): ConfigError {
  try {
    checkCommandFits(command, registry, registries);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  return new ConfigError(`this version of dewy has no \`${command}\` yet`);
}
