import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAwsProfile } from "../../../src/host/credentials/aws_profile.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const CONFIG = `
[default]
endpoint_url = https://default.test
[profile own]
endpoint_url = https://own.test ; a comment
[profile with-services]
services = ours
endpoint_url = https://own.test
[profile other-services]
services = theirs
endpoint_url = https://own.test
[profile lost-services]
services = lost
[profile ignoring]
ignore_configured_endpoint_urls = True
[services ours]
s3 =
  endpoint_url = https://s3.test
dynamodb =
  endpoint_url = https://dynamodb.test
[services theirs]
dynamodb =
  endpoint_url = https://dynamodb.test
[sso-session corp]
sso_region = eu-west-3
`;
const CREDENTIALS = `
[own]
endpoint_url = https://credentials.test
[keys]
aws_access_key_id = AK
aws_secret_access_key = s
endpoint_url = https://keys.test
`;

async function environment(profile: string): Promise<Record<string, string>> {
  const directory = await tempDirectory();
  const config = join(directory, "config");
  const credentials = join(directory, "credentials");
  await writeFile(config, CONFIG);
  await writeFile(credentials, CREDENTIALS);
  return {
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: credentials,
    AWS_PROFILE: profile,
  };
}

describe("readAwsProfile", () => {
  it.each([
    ["", "default", "https://default.test"],
    ["own", "own", "https://own.test"],
    ["with-services", "with-services", "https://s3.test"],
    ["other-services", "other-services", "https://own.test"],
    ["keys", "keys", "https://keys.test"],
    ["ignoring", "ignoring", undefined],
    ["missing", "missing", undefined],
  ])("AWS_PROFILE=%s is profile %s, with the endpoint %s", async (profile, name, endpoint) => {
    const found = await readAwsProfile(await environment(profile));
    expect([found.name, found.s3Endpoint]).toEqual([name, endpoint]);
    expect(found.ignoresEndpoints).toBe(profile === "ignoring");
  });

  it("refuses a profile whose services are missing instead of calling AWS", async () => {
    await expect(readAwsProfile(await environment("lost-services"))).rejects.toThrow(
      /"lost-services": there is no section \[services lost\] in .*config; add it/,
    );
  });

  it("lists the profiles of both files without sections of other kinds", async () => {
    const { profiles, files } = await readAwsProfile(await environment(""));
    expect([...profiles].sort()).toEqual([
      "default",
      "ignoring",
      "keys",
      "lost-services",
      "other-services",
      "own",
      "with-services",
    ]);
    expect(files).toHaveLength(2);
  });

  it("finds nothing without files", async () => {
    const HOME = await tempDirectory();
    expect(await readAwsProfile({ HOME })).toEqual({
      name: "default",
      files: [join(HOME, ".aws/config"), join(HOME, ".aws/credentials")],
      profiles: [],
    });
  });
});
