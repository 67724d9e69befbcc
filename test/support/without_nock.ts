import { createRequire } from "node:module";

/** Importing one of these packages replaces Node's HTTP client by a mock, which then fails for real servers. */
export function withoutNock(name: "@sigstore/mock" | "@tufjs/repo-mock"): void {
  const require = createRequire(import.meta.url);
  const nock = createRequire(require.resolve(name))("nock") as { restore(): void };
  nock.restore();
}
