import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { registries } from "../../mod.ts";
import { caches } from "../../src/cache/table.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { appEnvironment } from "../../src/server/app.ts";
import { findAppUser } from "../../src/server/app_user.ts";

const CONFIG = { envFiles: [], isolateEnv: false, user: undefined };
const NOBODY = { uid: 7, gid: 8, name: "app", home: "/home/app" };

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "dewy-environment-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, text);
  return path;
}

describe("the app's environment", () => {
  test("is dewy's own", async () => {
    const env = { ENVIRONMENT: "staging", PATH: "/bin", GITHUB_TOKEN: "t" };
    expect(await appEnvironment(CONFIG, { env, registries, notifiers, caches }, undefined)).toEqual(
      env,
    );
  });
  test("has no variables about dewy's own process", async () => {
    const env = { A: "1", NODE_CHANNEL_FD: "3", DEWY_HOLDER: "9", DEWY_HOLDER_RESTARTS: "1" };
    expect(await appEnvironment(CONFIG, { env, registries, notifiers, caches }, undefined)).toEqual(
      {
        A: "1",
      },
    );
  });
  test("includes the files; a later file overrides an earlier one, and both override dewy's", async () => {
    const envFiles = [await file("a", "A=a\nB=a\nC=a"), await file("b", "B=b")];
    const env = { A: "dewy", Z: "dewy" };
    expect(
      await appEnvironment(
        { ...CONFIG, envFiles },
        { env, registries, notifiers, caches },
        undefined,
      ),
    ).toEqual({
      A: "a",
      B: "b",
      C: "a",
      Z: "dewy",
    });
  });
  test("applies a changed file at the next start", async () => {
    const config = { ...CONFIG, envFiles: [await file("a", "A=1")] };
    const context = { env: {}, registries, notifiers, caches };
    await appEnvironment(config, context, undefined);
    await file("a", "A=2");
    expect(await appEnvironment(config, context, undefined)).toEqual({ A: "2" });
  });
  test("rejects a missing or invalid file", async () => {
    const context = { env: {}, registries, notifiers, caches };
    const missing = { ...CONFIG, envFiles: [join(dir, "missing")] };
    await expect(appEnvironment(missing, context, undefined)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(
        `Cannot read --env-file "${dir}/missing": no such file or directory`,
      ),
    });
    const path = await file("a", "A=1\nB");
    const wrong = { ...CONFIG, envFiles: [path] };
    await expect(appEnvironment(wrong, context, undefined)).rejects.toThrow(
      `Cannot read --env-file "${path}", line 2`,
    );
  });
  test("has the home of the app's user", async () => {
    const env = { HOME: "/root", USER: "root", LOGNAME: "root" };
    const context = { env, registries, notifiers, caches };
    expect(await appEnvironment({ ...CONFIG, user: "app" }, context, NOBODY)).toEqual({
      HOME: "/home/app",
      USER: "app",
      LOGNAME: "app",
    });
    expect(await appEnvironment(CONFIG, context, NOBODY)).toEqual(env);
  });
});

describe("--isolate-env", () => {
  const drivers = [
    ...Object.values(registries),
    ...Object.values(notifiers),
    ...Object.values(caches),
  ];
  const named = drivers.flatMap(({ environment }) => environment.map(({ name }) => name));
  const others = [
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITHUB_APP_PRIVATE_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "DOCKER_CONFIG",
    "SLACK_TOKEN",
    "DEWY_CACHEDIR",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
  ];
  test.each([...new Set([...named, ...others])])("keeps %s from the app", async (name) => {
    const config = { ...CONFIG, isolateEnv: true };
    const env = { [name]: "secret", PATH: "/bin", ENVIRONMENT: "staging" };
    expect(await appEnvironment(config, { env, registries, notifiers, caches }, undefined)).toEqual(
      {
        PATH: "/bin",
        ENVIRONMENT: "staging",
      },
    );
  });
  test.each([
    ["HTTPS_PROXY", "http://user:se%40cret@proxy.example:3128", "http://proxy.example:3128"],
    ["http_proxy", "http://user:p@ss/w@rd@proxy.example:3128/", "http://proxy.example:3128/"],
    ["ALL_PROXY", "socks5h://secret@10.0.0.1:1080", "socks5h://10.0.0.1:1080"],
    ["npm_config_https_proxy", "user:secret@proxy.example:3128", "proxy.example:3128"],
    ["HTTPS_PROXY", "http://proxy.example:3128", "http://proxy.example:3128"],
    ["NO_PROXY", "localhost,.example.com", "localhost,.example.com"],
  ])("keeps %s without its credentials (%s)", async (name, value, expected) => {
    const config = { ...CONFIG, isolateEnv: true };
    const env = { [name]: value };
    expect(await appEnvironment(config, { env, registries, notifiers, caches }, undefined)).toEqual(
      {
        [name]: expected,
      },
    );
    expect(await appEnvironment(CONFIG, { env, registries, notifiers, caches }, undefined)).toEqual(
      env,
    );
  });
  test("leaves the other settings of OpenTelemetry to the app", async () => {
    const config = { ...CONFIG, isolateEnv: true };
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };
    expect(await appEnvironment(config, { env, registries, notifiers, caches }, undefined)).toEqual(
      env,
    );
  });
  test("does not remove variables from files", async () => {
    const config = { ...CONFIG, isolateEnv: true, envFiles: [await file("a", "AWS_REGION=app")] };
    const env = { AWS_REGION: "dewy", AWS_PROFILE: "dewy" };
    expect(await appEnvironment(config, { env, registries, notifiers, caches }, undefined)).toEqual(
      {
        AWS_REGION: "app",
      },
    );
  });
});

describe("--user and --group", () => {
  const find = async (
    user: string | undefined,
    group: string | undefined,
    uid: number | undefined = 0,
  ): ReturnType<typeof findAppUser> => {
    const passwdPath = await file(
      "passwd",
      "root:x:0:0:root:/root:/bin/sh\napp:x:1007:1008:App,,,:/home/app:/bin/sh\n1009:x:5:6::/five:\n",
    );
    const groupPath = await file("group", "root:x:0:\nweb:x:1010:app\n");
    // env hides the machine's own users from getent.
    return findAppUser({ user, group }, { uid, passwdPath, groupPath, env: { PATH: dir } });
  };
  test("default to dewy's own", async () => {
    expect(await find(undefined, undefined, 1000)).toBeUndefined();
  });
  test.each([
    ["app", undefined, { uid: 1007, gid: 1008, name: "app", home: "/home/app" }],
    ["1007", undefined, { uid: 1007, gid: 1008, name: "app", home: "/home/app" }],
    ["app", "web", { uid: 1007, gid: 1010, name: "app", home: "/home/app" }],
    ["app", "42", { uid: 1007, gid: 42, name: "app", home: "/home/app" }],
    ["4242", "web", { uid: 4242, gid: 1010, name: undefined, home: undefined }],
    ["1009", undefined, { uid: 5, gid: 6, name: "1009", home: "/five" }],
    [undefined, "web", { uid: 0, gid: 1010, name: "root", home: "/root" }],
  ])("%s and %s are found", async (user, group, expected) => {
    expect(await find(user, group)).toEqual(expected);
  });
  test.each([
    ["ghost", undefined, '--user "ghost": unknown user'],
    ["4242", undefined, '--user "4242": the system does not know this user or its group'],
    ["4294967295", "web", '--user "4294967295": unknown user'],
    ["--help", "web", '--user "--help": unknown user'],
    ["app", "ghosts", '--group "ghosts": unknown group'],
  ])("%s and %s are rejected", async (user, group, message) => {
    await expect(find(user, group)).rejects.toThrow(message);
  });
  test("need root", async () => {
    await expect(find("app", undefined, 1000)).rejects.toMatchObject({
      code: "config",
      message: expect.stringMatching(
        /^Cannot use --user app: only root .* dewy runs as user 1000;/,
      ),
    });
    await expect(find(undefined, "web", 1000)).rejects.toThrow("Cannot use --group web");
  });
});
