import type {
  Explanation,
  ListedVersion,
  OpenOptions,
  Registry,
  Resolution,
  ResolveOptions,
} from "../core/types.ts";
import * as api from "./api.ts";
import type { HostServices } from "./driver.ts";
import { parseFileUrl } from "./file_locator.ts";
import { fetchArtifact, type Options, type RegistryOptions, splitRegistryUrl } from "./load.ts";
import { type RegistryLocator, registries } from "./table.ts";

export { explainRegistry } from "./api.ts";
export type { RegistryOptions, SchemeOptions } from "./load.ts";

/**
 * Parses a registry URL. No request is sent.
 *
 * @param url `ghr://…`, `s3://…`, `gs://…`, `img://…`, `grpc://…` or `file://…`.
 * @returns Its parts; the property `type` is the kind of registry.
 * @throws {ConfigError} If a part of the URL is invalid.
 *
 * @example
 * ```ts
 * import { parseRegistryUrl } from "dewy";
 *
 * const locator = parseRegistryUrl("s3://ap-northeast-1/my-releases/myapp?pre-release=true");
 * if (locator.type !== "s3" || locator.prefix !== "myapp/") throw new Error("unexpected");
 * ```
 */
export function parseRegistryUrl(url: string): RegistryLocator {
  const split = splitRegistryUrl(url, registries);
  return split.scheme === "file"
    ? parseFileUrl(split)
    : (api.parseUrl(url, registries, ["file"]) as RegistryLocator);
}

/**
 * Opens a registry. No request is sent until you call one of its methods. Its driver is loaded at the first call; an
 * invalid environment variable is reported then.
 *
 * @param url `ghr://owner/repo`, `s3://region/bucket/prefix`, … Query parameters set registry options.
 * @param options Platform, credentials and network, plus registry options by name. These override the URL's.
 * @throws {ConfigError} If the URL or an option is invalid.
 *
 * @example
 * ```ts
 * import { openRegistry } from "dewy";
 *
 * const registry = openRegistry("ghr://linyows/myapp", { platform: { os: "linux", arch: "amd64" }, env: {} });
 * if (typeof registry.resolve !== "function") throw new Error("unexpected");
 * ```
 */
export function openRegistry(url: string, options: RegistryOptions & HostServices = {}): Registry {
  return api.openRegistry(url, withAll(options));
}

/** Any registry that needs no host, unless the options name others. */
function withAll<O extends RegistryOptions>(options: O): O & Options {
  return { ...options, registries: options.registries ?? registries };
}

/**
 * Resolves the newest version: the one-liner for serverless functions.
 *
 * @param options As for {@link openRegistry}, and the tags to exclude, the version that you have, or the only tag to look at.
 * Callers that ask the same thing at the same time share one question.
 * @returns The answer. "Pending" and "none" are values.
 * @throws {DewyError} If the URL is invalid, access is refused, or the registry cannot be reached.
 *
 * @example
 * ```ts
 * import { latest } from "dewy";
 *
 * const answer = await latest("ghr://linyows/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json([]), // a repository without tags and releases
 * });
 * if (answer.kind !== "none" || answer.reason !== "empty") throw new Error(answer.kind);
 * ```
 */
export function latest(
  url: string,
  options: RegistryOptions & HostServices & Pick<ResolveOptions, "exclude" | "since" | "tag"> = {},
): Promise<Resolution> {
  return api.latest(url, withAll(options));
}

/**
 * Lists the versions that the options allow, newest first. What is known about a version is read when you get to it: stop
 * early, and little is read.
 *
 * @param options As for {@link openRegistry}, and the tags to leave out. `timeoutMs` limits each step.
 * @returns The versions: with date, notes and page on GitHub; with the date of the newest file in buckets and directories;
 * without dates in image registries, where reading one counts as a pull. `grpc://` and `https://` have only the current one.
 * @throws {DewyError} As {@link latest} does, while you iterate.
 *
 * @example
 * ```ts
 * import { versions } from "dewy";
 *
 * const refs = ["v1.0.0", "v1.1.0"].map((tag) => ({ ref: `refs/tags/${tag}`, object: { sha: "1" } }));
 * const release = {
 *   id: 1,
 *   tag_name: "v1.1.0",
 *   draft: false,
 *   prerelease: false,
 *   created_at: "2026-01-01T00:00:00Z",
 *   published_at: "2026-01-02T00:00:00Z",
 *   body: "Faster.",
 *   upload_url: "",
 *   assets: [],
 * };
 * const fetch = async (url: string | URL | Request) => Response.json(`${url}`.includes("/releases/") ? release : refs);
 * for await (const { tag, publishedAt, notes } of versions("ghr://linyows/myapp", { env: {}, fetch })) {
 *   if (tag !== "v1.1.0" || publishedAt === undefined || notes !== "Faster.") throw new Error(tag);
 *   break;
 * }
 * ```
 */
export function versions(
  url: string,
  options: RegistryOptions & HostServices & Pick<ResolveOptions, "exclude"> = {},
): AsyncIterable<ListedVersion> {
  return api.versions(url, withAll(options));
}

/**
 * Explains every candidate: chosen, or the reason why not.
 *
 * @param options As for {@link latest}.
 * @returns The tags, the artifacts, and the answer they lead to.
 *
 * @example
 * ```ts
 * import { explain } from "dewy";
 *
 * const why = await explain("ghr://linyows/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json([]),
 * });
 * if (why.resolution.kind !== "none" || why.tags.length !== 0) throw new Error("unexpected");
 * ```
 */
export async function explain(
  url: string,
  options: RegistryOptions & HostServices & Pick<ResolveOptions, "exclude" | "tag"> = {},
): Promise<Explanation> {
  return api.explain(url, withAll(options));
}

/**
 * Streams the bytes behind an artifact URL.
 *
 * @param artifactUrl `ghr://owner/repo/tag/<tag>/<artifact>`, `s3://region/bucket/key`, `gs://bucket/object`, `https://…`;
 * `http://…` with `allow: "http"`; on a host `file://…`.
 * @param options As for {@link openRegistry}, and which bytes to stream.
 * @returns The bytes, from `offset` on. Digests are not checked here, since the stream may be only a part.
 * @throws {DewyError} If the URL is invalid, access is refused, or the artifact is missing.
 *
 * @example
 * ```ts
 * import { openArtifact } from "dewy";
 *
 * const stream = await openArtifact("https://example.com/app.tar.gz", {
 *   fetch: async () => new Response("bytes"),
 * });
 * if ((await new Response(stream).text()) !== "bytes") throw new Error("unexpected");
 * ```
 */
export async function openArtifact(
  artifactUrl: string,
  options: RegistryOptions & HostServices & OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  return fetchArtifact(artifactUrl, withAll(options));
}
