import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as tls from "node:tls";
import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { systemReason } from "../files/atomic_file.ts";

const CA_VARIABLES = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] as const;
// OpenSSL's "TRUSTED CERTIFICATE" has extra bytes that only OpenSSL reads.
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * An unusable file of a variable is a warning only. OpenSSL replaces the roots by `SSL_CERT_FILE`,
 * but adding never breaks a call that works without it, and is the same on every runtime.
 */
export async function readTrustedCertificates(
  env: Environment,
  caFile: string | undefined,
  emit: EventSink,
  option = "--ca-file",
): Promise<readonly string[]> {
  const certificates = new Set<string>();
  if (caFile) await addFile(certificates, option, caFile);
  for (const variable of CA_VARIABLES) {
    const path = env[variable];
    if (!path || path === caFile) continue;
    try {
      await addFile(certificates, variable, path);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      emit({ type: "warning", message: error.message, fields: { variable, path } });
    }
  }
  return [...certificates];
}

/** For interfaces in which a list replaces the runtime's own roots. */
export function withRuntimeRoots(certificates: readonly string[]): string[] {
  // Node 22.15 and newer know the system store and flags; older ones have their bundle only.
  const { getCACertificates } = tls as { getCACertificates?: (type: "default") => string[] };
  return [...(getCACertificates?.("default") ?? tls.rootCertificates), ...certificates];
}

async function addFile(certificates: Set<string>, source: string, path: string): Promise<void> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw unusable(source, path, systemReason(cause), cause);
  });
  const found = text.match(PEM_CERTIFICATE) ?? [];
  if (found.length === 0) throw unusable(source, path, "it contains no PEM certificate");
  for (const pem of found) {
    // The variables often name the same file.
    if (certificates.has(pem)) continue;
    if (!isCertificate(pem)) throw unusable(source, path, "it contains a damaged certificate");
    certificates.add(pem);
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

function unusable(source: string, path: string, reason: string, cause?: unknown): ConfigError {
  return new ConfigError(
    `Cannot use ${source} "${path}": ${reason}; expected a file of PEM certificates`,
    { cause },
  );
}
