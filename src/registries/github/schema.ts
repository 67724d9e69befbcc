/**
 * What GitHub sends, reduced to what dewy reads. Nothing goes further in unchecked.
 *
 * @module
 */
import * as v from "valibot";
import { RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

/** A file of a release. https://docs.github.com/rest/releases/assets */
export interface GitHubAsset {
  /** Identifies the asset; a replaced one has another. */
  id: number;
  /** The file name. */
  name: string;
  /** `uploaded`; anything else is not there yet. */
  state: string;
  /** Bytes. */
  size: number;
  /** `sha256:…`; older assets and servers have none. */
  digest?: string | null | undefined;
  /** When it was changed last, ISO 8601. */
  updated_at: string;
}

/** A release. https://docs.github.com/rest/releases/releases */
export interface GitHubRelease {
  /** Identifies the release. */
  id: number;
  /** The tag it belongs to. */
  tag_name: string;
  /** Not published. */
  draft: boolean;
  /** Flagged as pre-release. */
  prerelease: boolean;
  /** When its commit was made, ISO 8601. */
  created_at: string;
  /** When it was published, ISO 8601; drafts have none. */
  published_at: string | null;
  /** Where assets are added, with a URI template at its end. */
  upload_url: string;
  /** Its files, in GitHub's order. */
  assets: GitHubAsset[];
}

/** A tag. https://docs.github.com/rest/git/refs */
export interface GitHubRef {
  /** `refs/tags/…`. */
  ref: string;
  /** What it points at. */
  object: { sha: string };
}

/** A token of an App's installation. https://docs.github.com/rest/apps/apps */
export interface GitHubInstallationToken {
  /** The secret. */
  token: string;
  /** When it ends, ISO 8601. */
  expires_at: string;
}

/** Reads one kind of answer. */
export type Schema<T> = v.GenericSchema<unknown, T>;

const timestamp = v.pipe(v.string(), v.isoTimestamp());
const id = v.pipe(v.number(), v.safeInteger());

const asset = v.object({
  id,
  name: v.pipe(v.string(), v.nonEmpty()),
  state: v.string(),
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  digest: v.nullish(v.string()),
  updated_at: timestamp,
});

/** One release. */
export const releaseSchema: Schema<GitHubRelease> = v.object({
  id,
  tag_name: v.pipe(v.string(), v.nonEmpty()),
  draft: v.boolean(),
  prerelease: v.boolean(),
  created_at: timestamp,
  published_at: v.nullable(timestamp),
  upload_url: v.string(),
  assets: v.array(asset),
});

/** A page of releases. */
export const releasesSchema: Schema<GitHubRelease[]> = v.array(releaseSchema);

/** All tags, or a page of them. */
export const refsSchema: Schema<GitHubRef[]> = v.array(
  v.object({ ref: v.string(), object: v.object({ sha: v.string() }) }),
);

/** A new token of an App's installation. */
export const installationTokenSchema: Schema<GitHubInstallationToken> = v.object({
  token: v.pipe(v.string(), v.nonEmpty()),
  expires_at: timestamp,
});

/** A repository; only that it is one. */
export const repositorySchema: Schema<{ id: number }> = v.object({ id });

/**
 * Checks an answer.
 *
 * @param schema what it should be.
 * @param value the parsed JSON.
 * @param url where it came from.
 * @returns the checked value, without what dewy does not read.
 * @throws RemoteError that names the first field that is wrong; never its value.
 */
export function parseWire<T>(schema: Schema<T>, value: unknown, url: string | URL): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? "the answer";
  const shown = redactUrl(url);
  const problem =
    issue.input === undefined ? "is missing" : `should be ${issue.expected ?? issue.type}`;
  throw new RemoteError(`Cannot read ${shown}: ${field} ${problem}; is this GitHub's API?`, {
    method: "GET",
    url: shown,
  });
}
