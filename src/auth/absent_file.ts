/** Whether a file is absent. A HostError carries the system's error as its cause. */
export function isFileAbsent(error: unknown): boolean {
  const causes = [error, error instanceof Error ? error.cause : undefined];
  return causes.some((cause) => ["ENOENT", "ENOTDIR"].includes(codeOf(cause)));
}

function codeOf(error: unknown): string {
  const hasCode = typeof error === "object" && error !== null && "code" in error;
  return hasCode ? String(error.code) : "";
}
