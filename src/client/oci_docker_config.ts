import * as v from "valibot";
import { CredentialError } from "../core/error.ts";
import { DOCKER_HUB, isDockerHub } from "../core/image_reference.ts";
import type { OciCredential, OciTarget } from "./oci_credential.ts";

/** What Docker's config.json, or Podman's auth.json, says of a registry. */
export interface DockerLogin {
  /** The credential helper to ask, `docker-credential-<helper>`; absent: none. */
  helper?: string;
  /** What stands in the file itself; absent: nothing. */
  credential?: OciCredential;
}

const entry = v.object({
  auth: v.optional(v.string(), ""),
  username: v.optional(v.string(), ""),
  password: v.optional(v.string(), ""),
  identitytoken: v.optional(v.string(), ""),
  registrytoken: v.optional(v.string(), ""),
});
const config = v.object({
  auths: v.optional(v.record(v.string(), entry), {}),
  credHelpers: v.optional(v.record(v.string(), v.string()), {}),
  credsStore: v.optional(v.string(), ""),
});

type Entry = v.InferOutput<typeof entry>;

/** Docker Hub's key since before registries had names. */
const LEGACY_HUB_SERVER = "https://index.docker.io/v1/";

/**
 * Finds a registry in Docker's config.json or Podman's auth.json.
 *
 * @param json the file's text.
 * @param source the file, for errors.
 * @param target the registry and repository; a key that names more of the path wins.
 * @returns what the file says of it; empty: nothing.
 * @throws CredentialError that names the field which cannot be read.
 * @see https://github.com/docker/cli/blob/master/cli/config/configfile/file.go
 * @see https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
 */
export function findDockerLogin(json: string, source: string, target: OciTarget): DockerLogin {
  const file = parse(json, source);
  const helper = bestMatch(file.credHelpers, target) ?? file.credsStore;
  const found = bestMatch(file.auths, target);
  const credential = found === undefined ? undefined : readEntry(found, source);
  return {
    ...(helper === "" ? {} : { helper }),
    ...(credential === undefined ? {} : { credential }),
  };
}

/**
 * The name under which credential helpers know a registry.
 *
 * @param registry its host.
 * @returns the host, or Docker Hub's legacy address.
 */
export function helperServer(registry: string): string {
  return isDockerHub(registry) ? LEGACY_HUB_SERVER : registry;
}

function parse(json: string, source: string): v.InferOutput<typeof config> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // The parser's own words could repeat a secret.
    throw new CredentialError(`Cannot use ${source}: it is no JSON`);
  }
  const result = v.safeParse(config, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new CredentialError(
    `Cannot use ${source}: ${v.getDotPath(issue) ?? "it"} should be ${issue.expected}`,
  );
}

/** The entry with the longest key that is the repository, or a part of its path from the registry on. */
function bestMatch<T>(entries: Readonly<Record<string, T>>, target: OciTarget): T | undefined {
  const wanted = `${canonicalHost(target.registry)}/${target.repository}/`;
  let best: { length: number; value: T } | undefined;
  for (const [key, value] of Object.entries(entries)) {
    const path = canonicalKey(key);
    if (!wanted.startsWith(`${path}/`)) continue;
    if (best === undefined || path.length > best.length) best = { length: path.length, value };
  }
  return best?.value;
}

function canonicalKey(key: string): string {
  const bare = key
    .replace(/^https?:\/\//i, "")
    .replace(/\/+$/, "")
    .replace(/\/v[12]$/, "");
  const slash = bare.indexOf("/");
  const host = slash < 0 ? bare : bare.slice(0, slash);
  return canonicalHost(host) + (slash < 0 ? "" : bare.slice(slash));
}

function canonicalHost(host: string): string {
  return isDockerHub(host) ? DOCKER_HUB : host.toLowerCase();
}

function readEntry(found: Entry, source: string): OciCredential | undefined {
  const { identitytoken, registrytoken } = found;
  if (registrytoken !== "") return { kind: "bearer", token: registrytoken };
  if (identitytoken !== "") return { kind: "refresh", token: identitytoken };
  const { username, password } = found.auth === "" ? found : decode(found.auth, source);
  return username === "" || password === "" ? undefined : { kind: "basic", username, password };
}

function decode(auth: string, source: string): { username: string; password: string } {
  let text: string;
  try {
    const bytes = Uint8Array.from(atob(auth.trim()), (character) => character.charCodeAt(0));
    text = new TextDecoder().decode(bytes);
  } catch {
    throw new CredentialError(`Cannot use ${source}: an "auth" in it is no base64`);
  }
  const colon = text.indexOf(":");
  if (colon < 0) throw new CredentialError(`Cannot use ${source}: an "auth" in it has no colon`);
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, "") };
}
