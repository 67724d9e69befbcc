import type { AwsCredentials } from "../../../auth/aws_credentials.ts";
import { GoogleAuth } from "../../../auth/google/client.ts";
import type { Clock } from "../../../core/clock.ts";
import type { EventSink } from "../../../core/event.ts";
import { createHttpClient } from "../../../http/client.ts";
import { azureRefreshToken, isAzureRegistry } from "./azure.ts";
import type { CredentialSource, OciCredential, OciTarget } from "./credential.ts";
import { type DockerIo, dockerSources } from "./docker.ts";
import { ecrPassword, readEcrHost } from "./ecr.ts";

/** Where credentials for registries of images may come from. */
export interface OciSourcesIo extends DockerIo {
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests. */
  emit: EventSink;
  /** Given in code; wins over all others. */
  registryLogin?: { username: string; password: string };
  /** The AWS credentials of this machine beyond the environment; absent on the edge. */
  awsCredentials?: () => Promise<AwsCredentials | undefined>;
}

type Environment = OciSourcesIo["env"];

/**
 * All places where credentials for a registry may be, in the order in which they are tried.
 *
 * @param target the registry and repository.
 * @param io the environment, files and helpers.
 * @returns the places; those that cannot have any for this host are left out.
 */
export function ociSources(target: OciTarget, io: OciSourcesIo): CredentialSource[] {
  const { registryLogin: login } = io;
  return [
    ...(login === undefined ? [] : [source("the options", () => basic(login))]),
    ...environmentLogins(target.registry, io.env).slice(0, 1),
    ...dockerSources(target, io),
    ...environmentLogins(target.registry, io.env).slice(1),
    ...cloudSources(target.registry, io),
  ];
}

/** User name and password of a registry out of the environment. */
export interface EnvironmentLogin {
  /** The user name; empty: none. */
  username: string;
  /** The password; empty: none. */
  password: string;
}

/**
 * What the environment has for a registry; half of a pair is shown, but never used.
 *
 * @param registry the registry's host.
 * @param env environment variables.
 * @returns user name and password, both empty where there are none.
 */
export function environmentLogin(registry: string, env: Environment): EnvironmentLogin {
  const complete = candidates(registry, env)
    .map(({ read }) => read())
    .filter(isComplete);
  return complete[0] ?? { username: env.DOCKER_USERNAME ?? "", password: "" };
}

interface Candidate {
  name: string;
  /** Called only when this login is tried, since a variable that cannot be used must not rule out the others. */
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
    // An access token is no key: https://cloud.google.com/artifact-registry/docs/docker/authentication
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

/** The first is that of `DOCKER_USERNAME`, empty where it is not set. */
function environmentLogins(registry: string, env: Environment): CredentialSource[] {
  return candidates(registry, env).map(({ name, read }) =>
    source(name, () => {
      const login = read();
      return isComplete(login) ? basic(login) : undefined;
    }),
  );
}

/**
 * Tells whether a host is a registry of Google.
 *
 * @param host the registry's host.
 * @returns whether it is Container Registry or Artifact Registry.
 */
export function isGoogleRegistry(host: string): boolean {
  return /^([a-z0-9-]+\.)?gcr\.io$|^[a-z0-9-]+(\.[a-z0-9-]+)*\.pkg\.dev$/i.test(host);
}

// The only scope that Artifact Registry, which serves gcr.io as well, knows.
const GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform";

function cloudSources(registry: string, io: OciSourcesIo): CredentialSource[] {
  const http = createHttpClient(io);
  const ecr = readEcrHost(registry);
  if (ecr !== undefined) {
    const find = (signal: AbortSignal | undefined): Promise<OciCredential | undefined> =>
      ecrPassword(ecr, { ...io, http }, signal);
    return [{ name: "AWS credentials", find }];
  }
  if (isGoogleRegistry(registry)) {
    const auth = new GoogleAuth(io, GOOGLE_SCOPE);
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
    const probe = createHttpClient({ ...io, retries: 0 });
    return [
      {
        name: "Azure credentials",
        find: (signal) => azureRefreshToken(registry, { ...io, http, probe }, signal),
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
