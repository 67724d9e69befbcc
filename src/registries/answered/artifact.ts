/**
 * Which artifact URLs a server may answer with. It is not ours: it must not make dewy read this machine's files, talk
 * to its own network or to the metadata service of its cloud, or send signed requests to a host of its choosing.
 *
 * @module
 */

import { ConfigError } from "../../core/error.ts";
import { isPrivateAddress, isPrivateHost } from "../../core/private_address.ts";
import type { Artifact } from "../../core/types.ts";
import { decodePath, splitUrl } from "../../core/url.ts";
import { lastPart, type RegistryTable } from "../driver.ts";

export interface ArtifactRules {
  /** Host and port of the server: https artifacts may come from there, wherever it is. */
  target: string;
  /** `http`, `file`, `endpoint`, and hosts with or without a port, in lower case. */
  allow: readonly string[];
  /** Whether the server itself may be asked over plain HTTP. Defaults to false. */
  isPlain?: boolean;
  registries: RegistryTable;
}

/** A file in a server's answer. */
export interface AnsweredFile {
  /** May end in `#sha256=<hex>`. */
  url: string;
  /** Defaults to the last part of the URL's path. */
  name?: string;
  size?: number;
  digest?: string;
}

const MAX_URL_LENGTH = 8192;
const SHA256 = /^sha256=([0-9a-f]{64})$/i;

/** The artifact's URL is without a fragment. */
export function readAnsweredArtifact(file: AnsweredFile, rules: ArtifactRules): Artifact {
  const { url: text, size } = file;
  if (text.length > MAX_URL_LENGTH || /[\s\p{Cc}\\]/u.test(text)) {
    throw new ConfigError("it is too long, or has blanks, backslashes or control characters");
  }
  const hash = text.indexOf("#");
  const url = hash < 0 ? text : text.slice(0, hash);
  const digest = hash < 0 ? file.digest : readDigest(text.slice(hash + 1));
  const last = readName(url, rules);
  const { name = last } = file;
  if (name === "" || name === "." || name === ".." || /[\0/]/.test(name)) {
    throw new ConfigError("it names no file");
  }
  return { name, url, size, digest };
}

function readDigest(fragment: string): string {
  const [, hex] = SHA256.exec(fragment) ?? [];
  if (hex === undefined) throw new ConfigError("its fragment is not sha256=<64 hex digits>");
  return `sha256:${hex.toLowerCase()}`;
}

function readName(text: string, rules: ArtifactRules): string {
  const url = splitUrl(text, "the artifact URL");
  if (url.scheme === "https" || url.scheme === "http") {
    assertMayAsk(readWebUrl(text), rules);
    return lastPart(decodePath(url.path, url, "the artifact URL"));
  }
  const known = Object.values(rules.registries).flatMap(({ scheme, artifact }) =>
    artifact === undefined ? [] : [{ scheme, artifact }],
  );
  const found = known.find(({ scheme }) => scheme === url.scheme);
  if (found === undefined) {
    const remote = known.filter(({ artifact }) => artifact.isRemote).map(({ scheme }) => scheme);
    throw new ConfigError(`its scheme is not one of ${[...remote, "https"].join(", ")}`);
  }
  if (!found.artifact.isRemote) {
    assertAllowed(url.scheme, "it names a file of this machine", rules);
  }
  const { name, endpoint } = found.artifact.parse(url);
  if (endpoint !== undefined) assertEndpoint(endpoint, rules);
  return name;
}

function assertEndpoint(endpoint: string, rules: ArtifactRules): void {
  assertAllowed("endpoint", "it names an endpoint for signed requests", rules);
  assertMayAsk(readWebUrl(endpoint), rules);
}

function readWebUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError("it is not an http:// or https:// address");
  }
  if (url.username !== "" || url.password !== "") {
    throw new ConfigError("it carries credentials");
  }
  return url;
}

/** Checks an address of the web, the answer's own or one it redirects to. */
export function assertMayAsk(url: URL, rules: ArtifactRules): void {
  if (url.protocol !== "https:" && !(rules.isPlain && isTarget(url, rules))) {
    assertAllowed("http", "plain http can be changed on its way", rules);
  }
  if (!isPrivateHost(url.hostname) || isAllowedHost(url, rules)) return;
  throw new ConfigError(
    `it leads to "${url.hostname}" inside this machine or its network; allow=${url.hostname} on the registry's URL allows that`,
  );
}

/**
 * Checks what a host's name stands for: any name can point at this machine. Private networks are
 * not refused here: their hosts are reached by name.
 */
export function assertResolvesElsewhere(
  url: URL,
  rules: ArtifactRules,
  addresses: readonly string[],
): void {
  if (isAllowedHost(url, rules)) return;
  const inner = addresses.find(
    (address) => isPrivateAddress(address) && !PRIVATE_NETWORK.test(address),
  );
  if (inner === undefined) return;
  throw new ConfigError(
    `"${url.hostname}" stands for ${inner}, this machine or its metadata service; allow=${url.hostname} on the registry's URL allows that`,
  );
}

// https://www.rfc-editor.org/rfc/rfc1918 and https://www.rfc-editor.org/rfc/rfc4193, but not AWS's metadata service.
const PRIVATE_NETWORK =
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|(?!fd00:0?ec2:)f[cd][0-9a-f]{2}:)/i;

function authorityOf(url: URL): string {
  return `${url.hostname}:${url.port || (url.protocol === "https:" ? 443 : 80)}`;
}

function isTarget(url: URL, { target }: ArtifactRules): boolean {
  return authorityOf(url) === target.toLowerCase();
}

function isAllowedHost(url: URL, rules: ArtifactRules): boolean {
  if (isTarget(url, rules)) return true;
  const authority = authorityOf(url);
  return rules.allow.includes(url.hostname) || rules.allow.includes(authority);
}

function assertAllowed(word: string, problem: string, rules: ArtifactRules): void {
  if (rules.allow.includes(word)) return;
  throw new ConfigError(`${problem}; allow=${word} on the registry's URL allows that`);
}
