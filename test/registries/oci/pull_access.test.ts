import { describe, expect, test } from "vitest";
import { CredentialError, NotFoundError } from "../../../src/core/error.ts";
import { isImageRegistry, type PullAccess } from "../../../src/registries/oci/image_registry.ts";
import type { RegistryOptions } from "../../../src/registries/open.ts";
import { type FakeOci, type FakeOciOptions, fakeOci } from "../../fakes/oci.ts";
import { openFakeImg } from "./world.ts";

const USERS = { users: { u: "right-password" } };
const WRONG = { DOCKER_USERNAME: "u", DOCKER_PASSWORD: "wrong-password" };
const RIGHT = { DOCKER_USERNAME: "u", DOCKER_PASSWORD: "right-password" };

/** Asks for the image of v1.0.0, as a deploy does. */
async function access(
  fakeOptions: FakeOciOptions,
  options: RegistryOptions = {},
  url?: string,
): Promise<PullAccess & { fake: FakeOci; digest: string }> {
  const fake = fakeOci(fakeOptions);
  const digest = fake.push("v1.0.0");
  const { registry } = openFakeImg(fake, options, url);
  if (!isImageRegistry(registry)) throw new Error("no registry of images");
  return { ...(await registry.pullAccess(digest)), fake, digest };
}

/** Docker's config.json with one login. */
function dockerLogin(login: Record<string, string>): RegistryOptions {
  const auths = { "registry.example": login };
  return { env: { DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) } };
}

describe("pullAccess", () => {
  test("names the image by digest, without a credential if the registry needs none", async () => {
    const { image, credential, plainHttp, digest } = await access({}, { env: RIGHT });
    expect(image).toBe(`registry.example/o/app@${digest}`);
    expect(credential).toBeUndefined();
    expect(plainHttp).toBe(false);
  });

  test("returns the accepted user name and password, not the refused ones", async () => {
    const config = dockerLogin({ auth: btoa("u:right-password") }).env;
    const { credential } = await access(
      { auth: "basic", ...USERS },
      { env: { ...WRONG, ...config } },
    );
    expect(credential).toEqual({ kind: "basic", username: "u", password: "right-password" });
  });

  test("returns the credential behind a token, not the token", async () => {
    const { credential } = await access({ auth: "bearer", ...USERS }, { env: RIGHT });
    expect(credential).toEqual({ kind: "basic", username: "u", password: "right-password" });
  });

  test("returns a refresh token", async () => {
    const login = dockerLogin({ identitytoken: "refresh-1", auth: btoa("u:") });
    const { credential } = await access({ auth: "bearer", refreshTokens: ["refresh-1"] }, login);
    expect(credential).toEqual({ kind: "refresh", token: "refresh-1" });
  });

  test("returns no credential if all were refused and anonymous pulls are allowed", async () => {
    const { credential } = await access(
      { auth: "bearer", anonymous: true, ...USERS },
      { env: WRONG },
    );
    expect(credential).toBeUndefined();
  });

  test("sends HEAD, which does not count as a pull", async () => {
    const { fake, digest } = await access({ auth: "basic", ...USERS }, { env: RIGHT });
    const calls = new Set(fake.requests.map(({ call }) => call));
    expect([...calls]).toEqual([`HEAD https://registry.example/v2/o/app/manifests/${digest}`]);
  });

  test.each([404, 405])("sends GET if HEAD is answered with %i", async (headStatus) => {
    const { image, credential, digest } = await access(
      { auth: "basic", headStatus, ...USERS },
      { env: RIGHT },
    );
    expect(image).toBe(`registry.example/o/app@${digest}`);
    expect(credential).toMatchObject({ username: "u" });
  });

  test("fails as polling does when no login is accepted", async () => {
    await expect(access({ auth: "basic", ...USERS }, { env: WRONG })).rejects.toThrow(
      CredentialError,
    );
  });

  test("names Docker Hub as engines know it", async () => {
    const { image, digest } = await access({ host: "registry-1.docker.io" }, {}, "img://o/app");
    expect(image).toBe(`docker.io/o/app@${digest}`);
  });

  test("reports a missing image", async () => {
    const { registry } = openFakeImg(fakeOci());
    if (!isImageRegistry(registry)) throw new Error("no registry of images");
    const gone = registry.pullAccess(`sha256:${"0".repeat(64)}`);
    await expect(gone).rejects.toThrow(NotFoundError);
    await expect(gone).rejects.toThrow("the registry no longer has it");
  });
});
