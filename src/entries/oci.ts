/**
 * The library for one kind of registry, OCI registries:
 * the functions of `dewy` without the clients of the others.
 *
 * @module
 */
import * as api from "../registries/api.ts";
import { fetchArtifact } from "../registries/load.ts";
import { img } from "../registries/oci/driver.ts";
import type { OciLocator } from "../registries/oci/locator.ts";

export { DewyError } from "../core/error.ts";
export type { EntryApi, EntryOptions, LatestOptions, TagOptions } from "../registries/api.ts";
export { img, type OciLocator };

/** The types of these functions. */
export type Api = api.EntryApi<OciLocator, "insecure" | "realm" | "registryLogin">;
const registries = { img };

/**
 * Resolves the newest version, as `latest` of `dewy` does.
 *
 * @example
 * ```ts
 * import { latest } from "dewy/oci";
 *
 * const answer = await latest("img://registry.example.com/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json({ name: "myapp", tags: [] }),
 * });
 * if (answer.kind !== "none") throw new Error(answer.kind);
 * ```
 */
export const latest: Api["latest"] = /* @__PURE__ */ api.bind(registries, api.latest);
/** Lists the versions, newest first, as `versions` of `dewy` does. */
export const versions: Api["versions"] = /* @__PURE__ */ api.bind(registries, api.versions);
/** Explains every tag and file, as `explain` of `dewy` does. */
export const explain: Api["explain"] = /* @__PURE__ */ api.bind(registries, api.explain);
/** Opens a registry that you ask repeatedly, as `openRegistry` of `dewy` does. */
export const openRegistry: Api["openRegistry"] = /* @__PURE__ */ api.bind(
  registries,
  api.openRegistry,
);
/** Streams the bytes behind an artifact URL, as `openArtifact` of `dewy` does. */
export const openArtifact: Api["openArtifact"] = /* @__PURE__ */ api.bind(
  registries,
  fetchArtifact,
);
/** Reads a registry URL without a request, as `parseRegistryUrl` of `dewy` does. */
export const parseRegistryUrl: Api["parseRegistryUrl"] = /* @__PURE__ */ api.bindParser(registries);
