import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EventSink } from "../../../src/core/event.ts";
import { lazyAwsCredentials, PACKAGES } from "../../../src/host/credentials/aws.ts";
import type { AwsCredentials } from "../../../src/registries/driver.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { ROOT, type Runtime, runCase, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const NONE = new Error("Could not load credentials from any providers");
const MISSING = Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
const emit: EventSink = () => {};
const KEYS: AwsCredentials = { accessKeyId: "a", secretAccessKey: "b" };

describe("lazyAwsCredentials", () => {
  it("loads once for concurrent calls", async () => {
    let loads = 0;
    const loadChain = async () => {
      loads += 1;
      return async () => KEYS;
    };
    const ask = lazyAwsCredentials({ env: {}, clock: fakeClock(), emit, loadChain });
    expect(loads).toBe(0);
    expect(await Promise.all([ask(), ask()])).toEqual([KEYS, KEYS]);
    expect(await ask()).toEqual(KEYS);
    expect(loads).toBe(1);
  });

  it("renews temporary credentials five minutes before they expire", async () => {
    const clock = fakeClock();
    let asked = 0;
    const loadChain = async () => async () => {
      asked += 1;
      return { ...KEYS, expiration: new Date(clock.now() + 3_600_000) };
    };
    const ask = lazyAwsCredentials({ env: {}, clock, emit, loadChain });
    await ask();
    clock.advance(55 * 60_000 - 1);
    await ask();
    expect(asked).toBe(1);
    clock.advance(1);
    await ask();
    expect(asked).toBe(2);
  });

  it("returns undefined where nothing is configured, and checks again after a minute", async () => {
    const clock = fakeClock();
    let asked = 0;
    const loadChain = async () => async () => {
      asked += 1;
      throw NONE;
    };
    const ask = lazyAwsCredentials({ env: {}, clock, emit, loadChain });
    expect([await ask(), await ask()]).toEqual([undefined, undefined]);
    expect(asked).toBe(1);
    clock.advance(60_000);
    await ask();
    expect(asked).toBe(2);
  });

  it("fails instead of staying anonymous if the operator named a source", async () => {
    const loadChain = async () => async () => Promise.reject(NONE);
    const ask = lazyAwsCredentials({
      env: { AWS_PROFILE: "prod" },
      clock: fakeClock(),
      emit,
      loadChain,
    });
    await expect(ask()).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining("AWS_PROFILE"),
    });
  });

  it("reports a missing profile, and lists the existing ones", async () => {
    const directory = await tempDirectory();
    const config = join(directory, "config");
    await writeFile(config, "[default]\nregion = a\n[profile prod]\nregion = a\n");
    const loadChain = async () => async () => Promise.reject(NONE);
    const env = {
      AWS_PROFILE: "prdo",
      AWS_CONFIG_FILE: config,
      AWS_SHARED_CREDENTIALS_FILE: join(directory, "none"),
    };
    await expect(
      lazyAwsCredentials({ env, clock: fakeClock(), emit, loadChain })(),
    ).rejects.toMatchObject({
      code: "credential",
      message: `Cannot use AWS_PROFILE "prdo": there is no such profile in ${config} and ${directory}/none (found: default, prod)`,
    });
    const found = lazyAwsCredentials({
      env: { ...env, AWS_PROFILE: "prod" },
      clock: fakeClock(),
      emit,
      loadChain,
    })();
    await expect(found).rejects.toThrow("Could not load credentials");
  });

  it("names the version of the SDK that the tests use", async () => {
    const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
    expect(manifest.devDependencies).toMatchObject(PACKAGES);
    expect(Object.keys(manifest.peerDependencies)).toEqual(
      expect.arrayContaining(Object.keys(PACKAGES)),
    );
  });

  it("stays anonymous without the SDK, and warns once how to install it", async () => {
    const clock = fakeClock();
    const events: unknown[] = [];
    const env = { HOME: await tempDirectory() };
    const loadChain = async () => Promise.reject(MISSING);
    const ask = lazyAwsCredentials({ env, clock, emit: (event) => events.push(event), loadChain });
    expect(await ask()).toBe(undefined);
    clock.advance(60_000);
    expect(await ask()).toBe(undefined);
    expect(events).toMatchObject([
      { type: "warning", fields: { install: expect.stringMatching(/@aws-sdk\/\S+@3\.\d+/) } },
    ]);
  });

  it("fails without the SDK if a source is configured, and says how to install it", async () => {
    const HOME = await tempDirectory();
    const loadChain = async () => Promise.reject(MISSING);
    const fails = (env: Record<string, string>): Promise<unknown> =>
      lazyAwsCredentials({ env: { HOME, ...env }, clock: fakeClock(), emit, loadChain })().then(
        () => expect.fail("no error"),
        (error: unknown) => error,
      );
    expect(await fails({ AWS_PROFILE: "prod" })).toMatchObject({
      code: "credential",
      message: expect.stringMatching(/from AWS_PROFILE: .* npm install @aws-sdk\/\S+@3\.\d+/),
    });
    const config = join(HOME, "config");
    await writeFile(config, "[default]\nregion = a\n");
    expect(await fails({ AWS_CONFIG_FILE: config })).toMatchObject({
      code: "credential",
      message: expect.stringContaining(`from ${config}: `),
    });
  });

  it("reports why a source fails", async () => {
    const loadChain = async () => async () =>
      Promise.reject(new Error("The SSO session has expired"));
    const ask = lazyAwsCredentials({ env: {}, clock: fakeClock(), emit, loadChain });
    await expect(ask()).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining("SSO session has expired"),
    });
  });

  it("limits the time of a source", async () => {
    const clock = fakeClock({ skipUpTo: 20_000 });
    const ask = lazyAwsCredentials({
      env: {},
      clock,
      emit,
      loadChain: async () => () => new Promise(() => {}),
    });
    await expect(ask()).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining("20 s"),
    });
  });
});

describe.each(runtimes)("the standard chain on $name", (runtime) => {
  it("reads a profile", async () => {
    const dir = await tempDirectory();
    await writeFile(
      join(dir, "credentials"),
      "[prod]\naws_access_key_id = AKPROFILE\naws_secret_access_key = s\n",
    );
    const env = {
      AWS_SHARED_CREDENTIALS_FILE: join(dir, "credentials"),
      AWS_CONFIG_FILE: join(dir, "none"),
      AWS_PROFILE: "prod",
    };
    expect(await find(runtime, env)).toMatchObject({ accessKeyId: "AKPROFILE" });
  });

  it("calls the container's credential service", async () => {
    const server = createServer((request, response) => {
      expect(request.headers.authorization).toBe("let-me-in");
      const Expiration = new Date(Date.now() + 3_600_000).toISOString();
      response.end(
        JSON.stringify({ AccessKeyId: "AKECS", SecretAccessKey: "s", Token: "t", Expiration }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const env = {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/creds`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "let-me-in",
    };
    expect(await find(runtime, env)).toMatchObject({ accessKeyId: "AKECS", sessionToken: "t" });
  });

  it("exchanges a web identity token, and prints nothing else", async () => {
    const server = createServer((_, response) => {
      const Expiration = new Date(Date.now() + 3_600_000).toISOString();
      response.end(
        `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKWEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${Expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const token = join(await tempDirectory(), "token");
    await writeFile(token, "a.b.c");
    const env = {
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/dewy",
      AWS_REGION: "eu-west-3",
      AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${port}`,
    };
    expect(await find(runtime, env)).toMatchObject({ accessKeyId: "AKWEB" });
  });

  it("does not call the metadata service where it is switched off", async () => {
    expect(await find(runtime, { AWS_EC2_METADATA_DISABLED: "true" })).toBeNull();
  });
});

async function find(runtime: Runtime, env: Readonly<Record<string, string>>): Promise<unknown> {
  const alone = { HOME: await tempDirectory(), AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" };
  const { code, stdout, stderr } = await runCase(runtime, "test/host/credentials/aws_case.ts", {
    ...alone,
    ...env,
  });
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}
