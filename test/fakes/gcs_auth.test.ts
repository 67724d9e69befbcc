// Google's own client signs in with the fake, so the fake behaves like the real servers where dewy
// signs in. A service account's key is not covered: the client always sends it to Google's own
// address. The fake checks its signature with node:crypto.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Storage } from "@google-cloud/storage";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ACCOUNT, type FakeIdentity, FEDERATION, fakeIdentity } from "./gcs_auth.ts";
import { type Served, serveFetch } from "./serve.ts";

describe("the fake of Google's identity servers with @google-cloud/storage", () => {
  let google: FakeIdentity;
  let served: Served;
  let directory: string;

  beforeEach(async () => {
    google = fakeIdentity(Date.now);
    google.hasMetadata = true;
    // Addresses of Google's client lead here; the first path segment names the intended host.
    served = await serveFetch((request) => {
      const { pathname, search } = new URL(request.url);
      const target = pathname.startsWith("/computeMetadata/")
        ? `http://metadata.google.internal${pathname}`
        : `https:/${pathname}`;
      return google.handler(new Request(target + search, request));
    });
    directory = await mkdtemp(join(tmpdir(), "dewy-gcs-auth-"));
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await served.close();
    await rm(directory, { recursive: true });
  });

  async function federation(
    more: object = {},
    subject = google.subject,
  ): Promise<string | null | undefined> {
    const file = join(directory, "subject");
    await writeFile(file, subject);
    const credentials = {
      ...FEDERATION,
      token_url: `${served.url}/sts.googleapis.com/v1/token`,
      credential_source: { file },
      ...more,
    };
    return new Storage({ projectId: "p", credentials }).authClient.getAccessToken();
  }

  test("exchanges a subject token for a token", async () => {
    expect(await federation()).toBe("ya29.sts-1");
  });

  test("issues a token of a service account for impersonation", async () => {
    const path = `v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken`;
    const service_account_impersonation_url = `${served.url}/iamcredentials.googleapis.com/${path}`;
    expect(await federation({ service_account_impersonation_url })).toBe("ya29.acting-2");
  });

  test("refuses another subject token", async () => {
    await expect(federation({}, "another")).rejects.toThrow("invalid_grant");
  });

  test("issues a token of the machine", async () => {
    vi.stubEnv("GCE_METADATA_HOST", served.url.replace("http://", ""));
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", "");
    vi.stubEnv("CLOUDSDK_CONFIG", directory);
    vi.stubEnv("METADATA_SERVER_DETECTION", "assume-present");
    const storage = new Storage({ projectId: "p" });
    expect(await storage.authClient.getAccessToken()).toBe("ya29.machine-1");
  });
});
