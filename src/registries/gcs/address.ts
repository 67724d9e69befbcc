import { googleUniverse } from "../../auth/google/universe.ts";
import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

/** The URLs of one bucket. */
export interface GcsAddress {
  /** Whether the server is an emulator, which requires no credentials. */
  isEmulator: boolean;
  /** Without a trailing slash. */
  bucket: string;
  object(name: string): string;
  upload(name: string): string;
}

const EMULATOR = "STORAGE_EMULATOR_HOST";

/** https://cloud.google.com/storage/docs/request-endpoints#json-api */
export function gcsAddress(bucket: string, env: Environment): GcsAddress {
  if (/^\.{1,2}$|[/\\]/.test(bucket)) {
    throw new ConfigError(`Invalid bucket name "${bucket}"`);
  }
  const emulator = emulatorAddress(env[EMULATOR] ?? "");
  const base = emulator ?? `https://storage.${googleUniverse(env)}`;
  const path = `storage/v1/b/${encodeURIComponent(bucket)}`;
  return {
    isEmulator: emulator !== undefined,
    bucket: `${base}/${path}`,
    object: (name) => `${base}/${path}/o/${encodeName(name)}`,
    // Permission to create objects does not include permission to replace them.
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

/** An object's name is one path segment with escaped slashes, so that only these two names would be resolved. */
function encodeName(name: string): string {
  if (name !== "." && name !== "..") return encodeURIComponent(name);
  throw new ConfigError(`Invalid object name "${name}"`);
}
