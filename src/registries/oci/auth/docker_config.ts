import * as v from "valibot";
import { CredentialError } from "../../../core/error.ts";
import { redactUrl } from "../../../core/url.ts";
import { parseSchema } from "../../../http/json.ts";
import { DOCKER_HUB, isDockerHub } from "../image_reference.ts";
import type { OciCredential, OciTarget } from "./credential.ts";

/** Docker's config.json or Podman's auth.json. Each field is checked only where it is used. */
export type DockerConfig = Readonly<Record<string, unknown>>;

// Docker Desktop has written nulls, which Docker itself treats as absent fields.
const optional = v.nullish(v.string(), "");
const entry = v.object({
  auth: optional,
  username: optional,
  password: optional,
  identitytoken: optional,
  registrytoken: optional,
});
const object = v.nullish(v.record(v.string(), v.unknown()), {});

/** Docker Hub's key from the time before registries had names. */
const LEGACY_HUB_SERVER = "https://index.docker.io/v1/";

/**
 * Parses Docker's config.json or Podman's auth.json. A malformed entry is an error only where it is used.
 *
 * @see https://github.com/docker/cli/blob/master/cli/config/configfile/file.go
 * @see https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
 */
export function readDockerConfig(json: string): DockerConfig {
  let value: unknown;
  try {
    value = json.trim() === "" ? undefined : JSON.parse(json);
  } catch {
    // Without the cause, which could repeat a secret.
    throw new CredentialError("Cannot read it: it is not JSON");
  }
  return check(object, value, "it");
}

/** The credential helper for a registry: `<helper>` of `docker-credential-<helper>`. */
export function dockerHelper(file: DockerConfig, target: OciTarget): string | undefined {
  const own = bestMatch(file, "credHelpers", target);
  const helper =
    own === undefined
      ? check(optional, file.credsStore, "credsStore")
      : check(optional, own.value, own.what);
  return helper || undefined;
}

export function dockerLogin(file: DockerConfig, target: OciTarget): OciCredential | undefined {
  const found = bestMatch(file, "auths", target);
  if (found === undefined) return undefined;
  const { auth, identitytoken, registrytoken, ...plain } = check(entry, found.value, found.what);
  if (registrytoken !== "") return { kind: "bearer", token: registrytoken };
  if (identitytoken !== "") return { kind: "refresh", token: identitytoken };
  const { username, password } = auth === "" ? plain : decode(auth, found.what);
  return username === "" || password === "" ? undefined : { kind: "basic", username, password };
}

/** The name under which credential helpers know a registry. */
export function helperServer(registry: string): string {
  return isDockerHub(registry) ? LEGACY_HUB_SERVER : registry;
}

function check<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  what: string,
): v.InferOutput<S> {
  const fail = (problem: string): CredentialError =>
    new CredentialError(`Cannot use ${what}: ${problem}`);
  return parseSchema(schema, value, fail, "it");
}

/** The entry whose key names the longest part of the repository's path, from the registry on. */
function bestMatch(
  file: DockerConfig,
  field: "auths" | "credHelpers",
  target: OciTarget,
): { what: string; value: unknown } | undefined {
  const wanted = `${canonicalHost(target.registry)}/${target.repository}/`;
  let best: { path: string; what: string; value: unknown } | undefined;
  for (const [key, value] of Object.entries(check(object, file[field], field) ?? {})) {
    const path = canonicalKey(key);
    if (value === null || !wanted.startsWith(`${path}/`)) continue;
    if (best !== undefined && path.length <= best.path.length) continue;
    best = { path, what: `the entry "${redactUrl(key)}" of ${field}`, value };
  }
  return best;
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

function decode(auth: string, what: string): { username: string; password: string } {
  const unusable = (why: string): CredentialError =>
    new CredentialError(`Cannot use ${what}: auth ${why}; run "docker login" again`);
  let text: string;
  try {
    const bytes = Uint8Array.from(atob(auth.trim()), (character) => character.charCodeAt(0));
    text = new TextDecoder().decode(bytes);
  } catch {
    throw unusable("is not base64");
  }
  const colon = text.indexOf(":");
  if (colon < 0) throw unusable("has no colon between user name and password");
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, "") };
}
