import { VerificationError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { VerifyContext } from "../types.ts";
import { readLogs, type TransparencyLog } from "./logs.ts";
import { PUBLIC_GOOD_ROOT } from "./public_good_root.ts";

/** Whom to trust: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto */
export interface TrustedRoot {
  json: RootJson;
  logs: readonly TransparencyLog[];
}

export interface RootJson {
  tlogs?: readonly unknown[];
  ctlogs?: readonly unknown[];
  certificateAuthorities?: readonly unknown[];
  timestampAuthorities?: readonly unknown[];
}

/**
 * The roots to try, one after the other: those of `--trusted-root`, otherwise those that the host has refreshed,
 * otherwise the one in the package.
 */
export async function trustedRoots(
  context: VerifyContext,
  signal: AbortSignal,
): Promise<readonly TrustedRoot[]> {
  const { trustedRoot: path, readTextFile, sigstoreRoots } = context;
  if (path !== undefined && readTextFile !== undefined) {
    return readRoots(async () => parseRoots(await readTextFile(path)), `"${path}"`);
  }
  const jsons = (await sigstoreRoots?.(signal)) ?? [PUBLIC_GOOD_ROOT];
  return readRoots(async () => jsons, "the trusted root");
}

async function readRoots(
  read: () => Promise<readonly unknown[]>,
  where: string,
): Promise<readonly TrustedRoot[]> {
  try {
    const jsons = await read();
    return await Promise.all(
      jsons.map(async (json) => ({ json: json as RootJson, logs: await readLogs(json) })),
    );
  } catch (cause) {
    throw new VerificationError(
      `Cannot use ${where} as the trusted root of Sigstore: ${messageOf(cause)}; give --trusted-root the file trusted_root.json of its TUF repository`,
      { cause },
    );
  }
}

/** One root as JSON, or several as lines of JSON, as `gh attestation trusted-root` prints them. */
export function parseRoots(text: string): readonly unknown[] {
  try {
    return [JSON.parse(text)];
  } catch (error) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    if (lines.length < 2) throw error;
    return lines.map((line) => JSON.parse(line));
  }
}
