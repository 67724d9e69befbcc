import type { AwsContext } from "../../../auth/aws_credentials.ts";
import { GoogleAuth } from "../../../auth/google/client.ts";
import type { Context } from "../../../core/context.ts";
import type { Environment } from "../../../core/environment.ts";
import { createHttpClient } from "../../../http/client.ts";
import { azureRefreshToken, isAzureRegistry } from "./azure.ts";
import type { CredentialSource, OciCredential, OciTarget } from "./credential.ts";
import { type DockerContext, dockerSources } from "./docker.ts";
import { ecrPassword, readEcrHost } from "./ecr.ts";

export interface OciSourcesContext extends Context, DockerContext, AwsContext {
  /** Given in code; takes precedence over all others. */
  registryLogin?: { username: string; password: string } | undefined;
}

/** The sources that may have credentials for a registry, in the order in which they are tried. */
export function ociSources(target: OciTarget, context: OciSourcesContext): CredentialSource[] {
  const { registryLogin: login, env } = context;
  return [
    ...(login === undefined ? [] : [source("the options", () => basic(login))]),
    ...environmentLogins(target.registry, env).slice(0, 1),
    ...dockerSources(target, context),
    ...environmentLogins(target.registry, env).slice(1),
    ...cloudSources(target.registry, context),
  ];
}

/** Empty fields are not set. */
export interface EnvironmentLogin {
  username: string;
  password: string;
}

/** The login in the environment. A user name without a password is returned, but never used. */
export function environmentLogin(registry: string, env: Environment): EnvironmentLogin {
  const complete = candidates(registry, env)
    .map(({ read }) => read())
    .filter(isComplete);
  return complete[0] ?? { username: env.DOCKER_USERNAME ?? "", password: "" };
}

interface Candidate {
  name: string;
  /** Called only when this login is tried, since an invalid variable must not rule out the others. */
  read(): EnvironmentLogin;
}

function candidates(registry: string, env: Environment): Candidate[] {
  const host = registry.toLowerCase();
  const docker = (): EnvironmentLogin => ({
    username: env.DOCKER_USERNAME ?? "",
    password: env.DOCKER_PASSWORD ?? "",
  });
  const github = (): EnvironmentLogin => ({ username: "token", password: env.GITHUB_TOKEN ?? "" });
  const ecr = (): EnvironmentLogin => ({ username: "AWS", password: env.AWS_ECR_PASSWORD ?? "" });
  const gcr = (): EnvironmentLogin => {
    const password = env.GCR_TOKEN ?? "";
    // An access token is not a key: https://cloud.google.com/artifact-registry/docs/docker/authentication
    const username = password.startsWith("ya29.") ? "oauth2accesstoken" : "_json_key";
    return { username, password };
  };
  return [
    { name: "DOCKER_USERNAME", read: docker },
    ...(host === "ghcr.io" ? [{ name: "GITHUB_TOKEN", read: github }] : []),
    ...(readEcrHost(host) === undefined ? [] : [{ name: "AWS_ECR_PASSWORD", read: ecr }]),
    ...(isGoogleRegistry(host) ? [{ name: "GCR_TOKEN", read: gcr }] : []),
  ];
}

function isComplete({ username, password }: EnvironmentLogin): boolean {
  return username !== "" && password !== "";
}

/** The first is `DOCKER_USERNAME`, whether or not it is set. */
function environmentLogins(registry: string, env: Environment): CredentialSource[] {
  return candidates(registry, env).map(({ name, read }) =>
    source(name, () => {
      const login = read();
      return isComplete(login) ? basic(login) : undefined;
    }),
  );
}

/** Whether a host is Google's Container Registry or Artifact Registry. */
export function isGoogleRegistry(host: string): boolean {
  return /^([a-z0-9-]+\.)?gcr\.io$|^[a-z0-9-]+(\.[a-z0-9-]+)*\.pkg\.dev$/i.test(host);
}

// The only scope of Artifact Registry, which also serves gcr.io.
const GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform";

function cloudSources(registry: string, context: OciSourcesContext): CredentialSource[] {
  const http = createHttpClient(context);
  const ecr = readEcrHost(registry);
  if (ecr !== undefined) {
    const find = (signal: AbortSignal | undefined): Promise<OciCredential | undefined> =>
      ecrPassword(ecr, { ...context, http }, signal);
    return [{ name: "AWS credentials", find }];
  }
  if (isGoogleRegistry(registry)) {
    const auth = new GoogleAuth(context, GOOGLE_SCOPE);
    return [
      {
        name: "Google credentials",
        async find(signal) {
          const { authorization = "" } = await auth.headers(signal);
          const password = authorization.replace(/^Bearer /, "");
          return password === "" ? undefined : basic({ username: "oauth2accesstoken", password });
        },
      },
    ];
  }
  if (isAzureRegistry(registry)) {
    const probe = createHttpClient({ ...context, retries: 0 });
    return [
      {
        name: "Azure credentials",
        find: (signal) => azureRefreshToken(registry, { ...context, http, probe }, signal),
      },
    ];
  }
  return [];
}

function source(name: string, find: () => OciCredential | undefined): CredentialSource {
  return { name, find: async () => find() };
}

function basic({ username, password }: EnvironmentLogin): OciCredential {
  return { kind: "basic", username, password };
}
