/**
 * The library for one kind of registry, Google Cloud Storage:
 * the functions of `dewy` without the clients of the others.
 *
 * @module
 */
import * as api from "../registries/api.ts";
import { gs } from "../registries/gcs/driver.ts";
import type { GsLocator } from "../registries/gcs/locator.ts";
import { fetchArtifact } from "../registries/load.ts";

export { DewyError } from "../core/error.ts";
export type { EntryApi, EntryOptions, LatestOptions, TagOptions } from "../registries/api.ts";
export { type GsLocator, gs };

/** The types of these functions. */
export type Api = api.EntryApi<GsLocator>;
const registries = { gs };

/**
 * Resolves the newest version, as `latest` of `dewy` does.
 *
 * @example
 * ```ts
 * import { latest } from "dewy/gcs";
 *
 * const answer = await latest("gs://my-releases/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   token: "ya29.example",
 *   fetch: async () => Response.json({ kind: "storage#objects" }), // an empty bucket
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
