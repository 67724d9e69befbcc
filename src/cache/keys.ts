import { bytesToHex, sha256 } from "../core/encoding.ts";
import type { Platform } from "../core/types.ts";

/** One question to a registry, as machines that ask the same share its answer. */
export interface Question {
  /** The registry's URL, with the options of flags in its query. */
  scope: string;
  platform: Platform;
  /** Tags that the asking machine will not have, such as those it has marked bad. Defaults to none. */
  exclude?: Iterable<string> | undefined;
  /** The exact name of an artifact. Defaults to a choice by platform. */
  artifact?: string | undefined;
}

/** The object with the answer to a question. */
export async function registryKey(question: Question): Promise<string> {
  const { scope, platform, exclude = [], artifact } = question;
  const { os, arch, variant, libc } = platform;
  const parts = [canonicalScope(scope), os, arch];
  // Beyond these, what other versions of dewy do not tell apart.
  if (variant !== undefined) parts.push(`variant=${variant}`);
  if (libc === "musl") parts.push("libc=musl");
  if (artifact !== undefined) parts.push(`artifact=${artifact}`);
  const excluded = [...new Set(exclude)].sort();
  if (excluded.length > 0) parts.push(`exclude=${JSON.stringify(excluded)}`);
  return `${REGISTRY_PREFIX}${await shortHash(parts.join("|"))}.json`;
}

export const REGISTRY_PREFIX = "registry-cache/";
export const ARTIFACT_PREFIX = "artifacts/";
export const CLAIM_PREFIX = "claims/";

/** The URL with its query in the order of the keys; an invalid URL stays as it is. */
function canonicalScope(scope: string): string {
  const start = scope.indexOf("?");
  if (start < 0) return scope;
  try {
    const pairs = scope
      .slice(start + 1)
      .split("&")
      .filter((pair) => pair !== "")
      .map(decodedPair)
      .sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
    const query = pairs.map(([key, value]) => `${escapeQuery(key)}=${escapeQuery(value)}`);
    return `${scope.slice(0, start)}?${query.join("&")}`;
  } catch {
    return scope;
  }
}

function decodedPair(pair: string): [string, string] {
  const [key = "", ...rest] = pair.split("=");
  const decode = (text: string): string => decodeURIComponent(text.replaceAll("+", " "));
  return [decode(key), decode(rest.join("="))];
}

// https://pkg.go.dev/net/url#QueryEscape
function escapeQuery(text: string): string {
  return encodeURIComponent(text)
    .replaceAll("%20", "+")
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The name of an artifact in a cache: `v1.2.0--app_linux_amd64.tar.gz`. */
export function cacheName(tag: string, artifactUrl: string): string {
  const path = artifactUrl.replace(/[?#].*$/s, "");
  return `${tag}--${path.slice(path.lastIndexOf("/") + 1)}`;
}

/**
 * The object with the bytes of an artifact. The digest is a part of it, so that apps that share a bucket, and files that
 * were replaced under one tag, do not get into each other's way.
 */
export async function artifactKey(tag: string, url: string, digest: string): Promise<string> {
  const name = cacheName(tag, url).replaceAll("/", "%2F");
  return `${ARTIFACT_PREFIX}${await shortHash(digest)}/${name}`;
}

export function claimKey(key: string): string {
  return `${CLAIM_PREFIX}${key}.json`;
}

async function shortHash(text: string): Promise<string> {
  return bytesToHex((await sha256(text)).subarray(0, 8));
}
