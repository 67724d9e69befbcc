import type { Deployment } from "../core/types.ts";

const SUFFIX = ".txt";

/**
 * The name of the record that a deploy leaves beside its artifacts:
 * `shipped_to_<host>_<command>_at_<YYYYMMDDTHHMMSS.nnnnnnnnnZ>.txt`. Characters of a host name that could mean
 * something in a path or a URL become `-`.
 */
export function auditName(
  deployment: Pick<Deployment, "host" | "command" | "at" | "nanoseconds">,
): string {
  const { nanoseconds = 0 } = deployment;
  const host = deployment.host.toLowerCase().replaceAll(/[^a-z0-9._-]/g, "-");
  const [seconds = "", millis = ""] = deployment.at.toISOString().replace("Z", "").split(".");
  const at = `${seconds.replaceAll(/[-:]/g, "")}.${millis}${String(nanoseconds).padStart(6, "0")}Z`;
  return `shipped_to_${host}_${deployment.command}_at_${at}${SUFFIX}`;
}

/** The content of that record. */
export function auditText(name: string): string {
  return name.slice(0, -SUFFIX.length).replaceAll("_", " ");
}

/** Distinguishes the records of deploys from artifacts. */
export function isAuditName(name: string): boolean {
  return name.startsWith("shipped_to_") && name.endsWith(SUFFIX);
}
