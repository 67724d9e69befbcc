/**
 * The library for one kind of registry, GitHub Releases:
 * the functions of `dewy` without the clients of the others.
 *
 * @module
 */
import * as api from "../registries/api.ts";
import { ghr } from "../registries/github/driver.ts";
import type { GhrLocator } from "../registries/github/locator.ts";
import { fetchArtifact } from "../registries/load.ts";

export { DewyError } from "../core/error.ts";
export type { EntryApi, EntryOptions, LatestOptions, TagOptions } from "../registries/api.ts";
export { type GhrLocator, ghr };

/** The types of these functions. */
export type Api = api.EntryApi<GhrLocator>;
const registries = { ghr };

/**
 * Resolves the newest version, as `latest` of `dewy` does.
 *
 * @example
 * ```ts
 * import { latest } from "dewy/github";
 *
 * const answer = await latest("ghr://linyows/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json([]), // a repository without tags and releases
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
