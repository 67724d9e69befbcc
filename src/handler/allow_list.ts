import type { HandlerOptions } from "./options.ts";
import { Refusal } from "./response.ts";

/** A registry that a client may ask for. */
export interface AllowedRegistry {
  name: string;
  url: string;
}

const MAX_NAME = 256;

/**
 * Finds the registry that a request names, by its name or, in a query, by its full URL. Nothing that a client sends becomes
 * part of a URL.
 *
 * @throws {Refusal} For an unknown registry.
 */
export async function findRegistry(
  registries: HandlerOptions["registries"],
  name: string | undefined,
): Promise<AllowedRegistry> {
  if (name !== undefined && (name.length > MAX_NAME || /\p{Cc}/u.test(name))) throw unknown();
  if (typeof registries === "function") {
    const url = await registries(name ?? "");
    if (url !== undefined) return { name: name ?? "", url };
    throw name === undefined ? unnamed() : unknown();
  }
  const all = Object.entries(registries);
  if (name === undefined) {
    const [only] = all;
    if (only === undefined || all.length > 1) throw unnamed();
    return { name: only[0], url: only[1] };
  }
  const found = all.find(([key, url]) => key === name || url === name);
  if (found === undefined) throw unknown();
  return { name: found[0], url: found[1] };
}

function unknown(): Refusal {
  return new Refusal(
    404,
    "not-found",
    "unknown registry: it is not one of those that this handler serves",
  );
}

function unnamed(): Refusal {
  return new Refusal(
    400,
    "config",
    "this handler serves several registries; name one: ?registry=NAME",
  );
}
