import * as v from "valibot";
import { RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import { parseSchema } from "../../http/json.ts";

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
export const releaseSchema = v.object({
  id,
  tag_name: v.pipe(v.string(), v.nonEmpty()),
  draft: v.boolean(),
  prerelease: v.boolean(),
  created_at: timestamp,
  published_at: v.nullable(timestamp),
  upload_url: v.string(),
  html_url: v.optional(v.string()),
  body: v.nullish(v.string()),
  assets: v.array(asset),
});
export const releasesSchema = v.array(releaseSchema);

export const refsSchema = v.array(
  v.object({ ref: v.string(), object: v.object({ sha: v.string() }) }),
);

export const installationTokenSchema = v.object({
  token: v.pipe(v.string(), v.nonEmpty()),
  expires_at: timestamp,
});

export const repositorySchema = v.object({ id });

/** https://docs.github.com/rest/releases/assets */
export type GitHubAsset = v.InferOutput<typeof asset>;
/** https://docs.github.com/rest/releases/releases */
export type GitHubRelease = v.InferOutput<typeof releaseSchema>;

/** Checks an answer; the RemoteError names the first field that is wrong, never its value. */
export function parseWire<T>(schema: Schema<T>, value: unknown, url: string | URL): T {
  const shown = redactUrl(url);
  return parseSchema(
    schema,
    value,
    (problem) =>
      new RemoteError(`Cannot read ${shown}: ${problem}; is this GitHub's API?`, {
        method: "GET",
        url: shown,
      }),
  );
}
