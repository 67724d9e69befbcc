import { ConfigError } from "../../core/error.ts";
import { decodePath, splitUrl } from "../../core/url.ts";

/** It becomes part of names of containers and images, and of a path: what all of them allow. */
const APP_NAME = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
/** Docker makes a host name of a container's name, and some programs stumble over longer ones. */
const MAX_LENGTH = 63;

/**
 * Checks the name of an app.
 *
 * @param name the name.
 * @param flag where it was typed, for the error.
 * @returns the name.
 * @throws ConfigError when containers, images or directories cannot be named so.
 */
export function checkAppName(name: string, flag: string): string {
  if (APP_NAME.test(name) && name.length <= MAX_LENGTH) return name;
  const lower = name.toLowerCase();
  const hint = APP_NAME.test(lower) && lower !== name ? `; did you mean ${lower}?` : "";
  throw new ConfigError(
    `Cannot use ${flag} "${name}": expected lower-case letters and digits, with "-", "_" or "." between them, at most ${MAX_LENGTH}${hint}`,
  );
}

/**
 * Takes the name of an app from its registry.
 *
 * @param registry the registry's URL.
 * @returns the last part of its path, without a tag.
 * @throws ConfigError when it is no URL.
 */
export function appNameOf(registry: string): string {
  const url = splitUrl(registry, "--registry");
  const parts = [url.host, ...decodePath(url.path, url, "--registry").split("/")];
  const last = parts.filter((part) => part !== "").at(-1) ?? "";
  return last.replace(/[:@].*$/s, "");
}
