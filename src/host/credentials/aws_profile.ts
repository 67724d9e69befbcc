import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import type { AwsProfile } from "../../registries/driver.ts";

interface AwsProfileSearch extends AwsProfile {
  files: readonly string[];
  profiles: readonly string[];
}

/** https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html */
export async function readAwsProfile(env: Environment): Promise<AwsProfileSearch> {
  const name = env.AWS_PROFILE || "default";
  const directory = join(env.HOME || env.USERPROFILE || homedir(), ".aws");
  const configFilepath = env.AWS_CONFIG_FILE || join(directory, "config");
  const filepath = env.AWS_SHARED_CREDENTIALS_FILE || join(directory, "credentials");
  const files = [configFilepath, filepath];
  // Most machines have neither, and the parser loads slowly.
  if (!files.some((path) => existsSync(path))) return { name, files, profiles: [] };
  const { loadSharedConfigFiles } = await import("@smithy/core/config");
  const found = await loadSharedConfigFiles({ filepath, configFilepath, ignoreCache: true });
  const { configFile, credentialsFile } = found;
  const settings = { ...credentialsFile[name], ...configFile[name] };
  const services = configFile[`services.${settings.services}`];
  if (settings.services !== undefined && services === undefined) {
    throw new ConfigError(
      `Cannot use the AWS profile "${name}": there is no section [services ${settings.services}] in ${configFilepath}; add it, or remove "services" from the profile`,
    );
  }
  const s3Endpoint = services?.["s3.endpoint_url"] ?? settings.endpoint_url;
  return {
    name,
    files,
    profiles: [...new Set([configFile, credentialsFile].flatMap(Object.keys))].filter(isProfile),
    ignoresEndpoints: settings.ignore_configured_endpoint_urls?.toLowerCase() === "true",
    s3Endpoint,
  };
}

/** The parser returns sections of other kinds as `<kind>.<name>`. */
function isProfile(section: string): boolean {
  return !/^(services|sso-session)\./.test(section);
}
