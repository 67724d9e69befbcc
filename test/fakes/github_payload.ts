import type { components } from "@octokit/openapi-types";

type Schemas = components["schemas"];
export type ReleasePayload = Schemas["release"];
export type AssetPayload = Schemas["release-asset"];
export type RefPayload = Schemas["git-ref"];
export type ErrorPayload = Schemas["basic-error"];
export type TokenPayload = Schemas["installation-token"];

export interface StoredRelease {
  id: number;
  tag: string;
  draft: boolean;
  preRelease: boolean;
  createdAt: number;
  publishedAt: number;
  assets: StoredAsset[];
}

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

export interface FakeUrls {
  api: string;
  /** For uploading assets. */
  uploads: string;
  /** For downloading assets; another origin. */
  storage: string;
}

const iso = (time: number): string => new Date(time).toISOString().replace(/\.\d+Z$/, "Z");

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

export function refPayload(urls: FakeUrls, repo: string, tag: string, sha: string): RefPayload {
  return {
    ref: `refs/tags/${tag}`,
    node_id: `REF_${tag}`,
    url: `${urls.api}/repos/${repo}/git/refs/tags/${tag}`,
    object: { sha, type: "commit", url: `${urls.api}/repos/${repo}/git/commits/${sha}` },
  };
}

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
