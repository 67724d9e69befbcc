import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { redactor, redactorOf } from "../../src/agent/redactor.ts";
import type { EnvironmentSpec } from "../../src/core/environment.ts";
import { CHECK_ENVIRONMENT } from "../../src/fleet/check/environment.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { TELEMETRY_ENVIRONMENT } from "../../src/telemetry/environment.ts";
import { ROOT } from "../runtime/runtimes.ts";

const variables: readonly EnvironmentSpec[] = [
  ...Object.values(hostRegistries),
  ...Object.values(notifiers),
].flatMap(({ environment }) => environment);
const isSecret = ({ secret }: EnvironmentSpec): boolean => secret !== false && secret !== "json";

/** Where files are, in the environment of every program. */
const PLACES = /^(HOME|USERPROFILE|APPDATA|XDG_\w+)$|^AWS_(CONFIG_FILE|SHARED_CREDENTIALS_FILE)$/;

describe("the redactor", () => {
  const secrets = [...variables, ...TELEMETRY_ENVIRONMENT, ...CHECK_ENVIRONMENT].filter(isSecret);
  test.each(secrets.map(({ name }) => name))("masks the value of %s", (name) => {
    expect(redactor({ [name]: "s3cret-value" })("it wrote s3cret-value!")).toBe("it wrote …!");
  });

  test("follows the tables: a new driver needs nothing but its own lines", () => {
    const spec = (name: string, secret: boolean): EnvironmentSpec => ({
      name,
      secret,
      description: "",
    });
    const registries = { pigeon: { environment: [spec("PIGEON_RING", true)] } };
    const tables = [registries, { smoke: { environment: [spec("SMOKE_COLOUR", false)] } }];
    const env = { PIGEON_RING: "ring-of-the-pigeon", SMOKE_COLOUR: "white-as-snow" };
    const text = Object.values(env).join(" ");
    expect(redactorOf(...tables)(env)(text)).toBe("… white-as-snow");
  });
});

describe("the environment variables in the tables of drivers", () => {
  test("are all that the code of the drivers reads", async () => {
    const declared = new Set(variables.map(({ name }) => name));
    const read = new Set<string>();
    for (const folder of ["auth", "http", "registries", "notifiers"]) {
      const directory = join(ROOT, "src", folder);
      for (const file of await readdir(directory, { recursive: true })) {
        if (!file.endsWith(".ts")) continue;
        const source = await readFile(join(directory, file), "utf8");
        for (const [, name = ""] of source.matchAll(/\benv\.([A-Z][A-Z0-9_]+)/g)) read.add(name);
        for (const [, names = ""] of source.matchAll(
          /const \{([^}]*)\} = (?:io\.|context\.)?env\b/g,
        )) {
          for (const [name] of names.matchAll(/\b[A-Z][A-Z0-9_]+\b/g)) read.add(name);
        }
      }
    }
    expect(read.size).toBeGreaterThan(20);
    expect([...read].filter((name) => !declared.has(name) && !PLACES.test(name))).toEqual([]);
  });

  test("are secret where these are", () => {
    const names = (of: EnvironmentSpec["secret"]): string[] => [
      ...new Set(variables.filter(({ secret }) => secret === of).map(({ name }) => name)),
    ];
    expect(names(true).sort()).toEqual([
      "AWS_ACCESS_KEY_ID",
      "AWS_CONTAINER_AUTHORIZATION_TOKEN",
      "AWS_ECR_PASSWORD",
      "AWS_SECRET_ACCESS_KEY",
      "AWS_SESSION_TOKEN",
      "AZURE_CLIENT_SECRET",
      "DEWY_HTTPS_TOKEN",
      "DEWY_REGISTRY_TOKEN",
      "DEWY_WEBHOOK_NOTIFIER_SECRET",
      "DOCKER_AUTH_CONFIG",
      "DOCKER_PASSWORD",
      "GCR_TOKEN",
      "GH_TOKEN",
      "GITHUB_APP_PRIVATE_KEY",
      "GITHUB_TOKEN",
      "IDENTITY_HEADER",
      "MAIL_PASSWORD",
      "NTFY_TOKEN",
      "SLACK_TOKEN",
    ]);
    expect(names("json")).toEqual(["GOOGLE_APPLICATION_CREDENTIALS"]);
  });

  test("say the same of a variable in all tables", () => {
    const said = new Map<string, string>();
    for (const { name, secret, value } of variables) {
      const form = `${secret} ${value}`;
      expect([name, said.get(name) ?? form]).toEqual([name, form]);
      said.set(name, form);
    }
  });
});
