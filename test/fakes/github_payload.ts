import type { components } from "@octokit/openapi-types";

type Schemas = components["schemas"];
/** GitHub's own type of a release. */
export type ReleasePayload = Schemas["release"];
/** GitHub's own type of an asset. */
export type AssetPayload = Schemas["release-asset"];
/** GitHub's own type of a tag. */
export type RefPayload = Schemas["git-ref"];
/** GitHub's own type of an error. */
export type ErrorPayload = Schemas["basic-error"];
/** GitHub's own type of an App's token. */
export type TokenPayload = Schemas["installation-token"];

/** A release of the fake. */
export interface StoredRelease {
  id: number;
  tag: string;
  draft: boolean;
  preRelease: boolean;
  createdAt: number;
  publishedAt: number;
  assets: StoredAsset[];
}

/** A file of a release of the fake. */
export interface StoredAsset {
  id: number;
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
  state: "uploaded" | "open";
  digest: string | null;
  downloads: number;
  updatedAt: number;
}

/** Where the fake is reached. */
export interface FakeUrls {
  /** The API. */
  api: string;
  /** Where assets are uploaded to. */
  uploads: string;
  /** Where assets are downloaded from: another origin. */
  storage: string;
}

const iso = (time: number): string => new Date(time).toISOString().replace(/\.\d+Z$/, "Z");

/** @returns a release as GitHub would send it. */
export function releasePayload(
  urls: FakeUrls,
  repo: string,
  release: StoredRelease,
): ReleasePayload {
  const url = `${urls.api}/repos/${repo}/releases/${release.id}`;
  return {
    url,
    assets_url: `${url}/assets`,
    upload_url: `${urls.uploads}/repos/${repo}/releases/${release.id}/assets{?name,label}`,
    html_url: `https://github.test/${repo}/releases/tag/${release.tag}`,
    id: release.id,
    author: user("octocat"),
    node_id: `RE_${release.id}`,
    tag_name: release.tag,
    target_commitish: "main",
    name: release.tag,
    draft: release.draft,
    immutable: false,
    prerelease: release.preRelease,
    created_at: iso(release.createdAt),
    updated_at: iso(release.publishedAt),
    published_at: release.draft ? null : iso(release.publishedAt),
    assets: release.assets.map((asset) => assetPayload(urls, repo, release.tag, asset)),
    tarball_url: `${urls.api}/repos/${repo}/tarball/${release.tag}`,
    zipball_url: `${urls.api}/repos/${repo}/zipball/${release.tag}`,
    body: `What is new in ${release.tag}`,
  };
}

/** @returns an asset as GitHub would send it. */
export function assetPayload(
  urls: FakeUrls,
  repo: string,
  tag: string,
  asset: StoredAsset,
): AssetPayload {
  return {
    url: `${urls.api}/repos/${repo}/releases/assets/${asset.id}`,
    id: asset.id,
    node_id: `RA_${asset.id}`,
    name: asset.name,
    label: "",
    uploader: user("octocat"),
    content_type: asset.contentType,
    state: asset.state,
    size: asset.bytes.byteLength,
    digest: asset.digest,
    download_count: asset.downloads,
    created_at: iso(asset.updatedAt),
    updated_at: iso(asset.updatedAt),
    browser_download_url: `https://github.test/${repo}/releases/download/${tag}/${asset.name}`,
  };
}

/** @returns a tag as GitHub would send it. */
export function refPayload(urls: FakeUrls, repo: string, tag: string, sha: string): RefPayload {
  return {
    ref: `refs/tags/${tag}`,
    node_id: `REF_${tag}`,
    url: `${urls.api}/repos/${repo}/git/refs/tags/${tag}`,
    object: { sha, type: "commit", url: `${urls.api}/repos/${repo}/git/commits/${sha}` },
  };
}

/** @returns an error as GitHub would send it. */
export function errorPayload(status: number, message: string): ErrorPayload {
  return { message, documentation_url: "https://docs.github.test/rest", status: String(status) };
}

function user(login: string): Schemas["simple-user"] {
  const url = `https://api.github.test/users/${login}`;
  return {
    login,
    id: 1,
    node_id: "U_1",
    avatar_url: `https://avatars.github.test/${login}`,
    gravatar_id: "",
    url,
    html_url: `https://github.test/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: "User",
    site_admin: false,
  };
}
