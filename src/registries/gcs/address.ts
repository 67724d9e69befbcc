import { googleUniverse } from "../../auth/google/universe.ts";
import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

/** The addresses of one bucket. */
export interface GcsAddress {
  /** Whether a server is asked that wants no credentials. */
  isEmulator: boolean;
  /** The bucket, without a slash at its end. */
  bucket: string;
  /** An object. */
  object(name: string): string;
  /** Where a new object is sent to. */
  upload(name: string): string;
}

const EMULATOR = "STORAGE_EMULATOR_HOST";

/**
 * The addresses of a bucket.
 *
 * @param bucket its name.
 * @param env environment variables; `STORAGE_EMULATOR_HOST` (with or without `http://`) and
 * `GOOGLE_CLOUD_UNIVERSE_DOMAIN` are read.
 * @returns the addresses.
 * @throws ConfigError when the bucket or a variable cannot be part of an address.
 * @see https://cloud.google.com/storage/docs/request-endpoints#json-api
 */
export function gcsAddress(
  bucket: string,
  env: Readonly<Record<string, string | undefined>>,
): GcsAddress {
  if (/^\.{1,2}$|[/\\]/.test(bucket)) {
    throw new ConfigError(`Cannot use the bucket "${bucket}": it is no bucket name`);
  }
  const emulator = emulatorAddress(env[EMULATOR] ?? "");
  const base = emulator ?? `https://storage.${googleUniverse(env)}`;
  const path = `storage/v1/b/${encodeURIComponent(bucket)}`;
  return {
    isEmulator: emulator !== undefined,
    bucket: `${base}/${path}`,
    object: (name) => `${base}/${path}/o/${encodeName(name)}`,
    // Whoever may create objects need not be allowed to replace them.
    upload: (name) =>
      `${base}/upload/${path}/o?uploadType=media&ifGenerationMatch=0&name=${encodeURIComponent(name)}`,
  };
}

function emulatorAddress(text: string): string | undefined {
  if (text === "") return undefined;
  const full = text.includes("://") ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const isUsable =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === "";
  if (isUsable) return url.href.replace(/\/+$/, "");
  throw new ConfigError(
    `Cannot use ${EMULATOR} "${redactUrl(text)}": expected <host>:<port> or http://<host>:<port>`,
  );
}

/** An object's name is one segment, slashes escaped, so that nothing in it is navigation but these two. */
function encodeName(name: string): string {
  if (name !== "." && name !== "..") return encodeURIComponent(name);
  throw new ConfigError(`Cannot ask for the object "${name}": it is no object name`);
}
