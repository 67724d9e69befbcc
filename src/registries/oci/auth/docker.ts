import { isFileAbsent } from "../../../auth/absent_file.ts";
import type { Context } from "../../../core/context.ts";
import type { Environment } from "../../../core/environment.ts";
import { HostError } from "../../../core/error.ts";
import type { CredentialSource, OciCredential, OciTarget } from "./credential.ts";
import {
  type DockerConfig,
  dockerHelper,
  dockerLogin,
  helperServer,
  readDockerConfig,
} from "./docker_config.ts";

/** The answer of a credential helper. */
export interface HelperAnswer {
  /** `<token>` means that the secret is a refresh token. */
  username: string;
  /** The password or token. */
  secret: string;
}

/** Asks `docker-credential-<helper>` for the login of a server; `undefined` if it has none. */
export type CredentialHelper = (
  helper: string,
  server: string,
  signal?: AbortSignal,
) => Promise<HelperAnswer | undefined>;

export interface DockerContext extends Pick<Context, "env" | "readTextFile"> {
  /** Absent on the edge. */
  credentialHelper?: CredentialHelper | undefined;
}

interface ConfigFile {
  name: string;
  read(): Promise<string | undefined>;
}

/**
 * The places where `docker login` and `podman login` store credentials: `DOCKER_AUTH_CONFIG`, Docker's config.json,
 * Podman's auth.json. For each, the credential helper comes before the file itself.
 */
export function dockerSources(target: OciTarget, context: DockerContext): CredentialSource[] {
  return configFiles(context).flatMap((file) => {
    const config = async (): Promise<DockerConfig> => readDockerConfig((await file.read()) ?? "");
    const fromHelper: CredentialSource = {
      name: `the credential helper of ${file.name}`,
      async find(signal) {
        // The next source reads the same file and reports the error.
        const found = await config().catch(() => undefined);
        const helper = found === undefined ? undefined : dockerHelper(found, target);
        return askHelper(helper, target.registry, context, signal);
      },
    };
    const fromFile: CredentialSource = {
      name: file.name,
      find: async () => dockerLogin(await config(), target),
    };
    return context.credentialHelper === undefined ? [fromFile] : [fromHelper, fromFile];
  });
}

async function askHelper(
  helper: string | undefined,
  registry: string,
  context: DockerContext,
  signal: AbortSignal | undefined,
): Promise<OciCredential | undefined> {
  if (helper === undefined) return undefined;
  const found = await context.credentialHelper?.(helper, helperServer(registry), signal);
  if (found === undefined || found.secret === "") return undefined;
  // https://github.com/docker/cli/blob/master/cli/config/credentials/native_store.go
  if (found.username === "<token>") return { kind: "refresh", token: found.secret };
  return { kind: "basic", username: found.username, password: found.secret };
}

function configFiles(context: DockerContext): ConfigFile[] {
  const inline = context.env.DOCKER_AUTH_CONFIG ?? "";
  const { readTextFile } = context;
  return [
    ...(inline === "" ? [] : [{ name: "DOCKER_AUTH_CONFIG", read: async () => inline }]),
    ...(readTextFile === undefined
      ? []
      : configPaths(context.env).map((path) => ({
          name: path,
          read: () => readIfPresent(readTextFile, path),
        }))),
  ];
}

/** https://docs.docker.com/reference/cli/docker/#configuration-files */
function configPaths(env: Environment): string[] {
  const home = directory(env.HOME) ?? directory(env.USERPROFILE);
  const docker = directory(env.DOCKER_CONFIG) ?? below(home, "/.docker");
  const podman = directory(env.XDG_CONFIG_HOME) ?? below(home, "/.config");
  const named = env.REGISTRY_AUTH_FILE ?? "";
  const authFiles =
    named === "" ? [below(directory(env.XDG_RUNTIME_DIR), PODMAN), below(podman, PODMAN)] : [named];
  return [below(docker, "/config.json"), ...authFiles].filter((path) => path !== undefined);
}

const PODMAN = "/containers/auth.json";

function directory(path: string | undefined): string | undefined {
  return path === undefined || path === "" ? undefined : path.replace(/\/+$/, "");
}

function below(path: string | undefined, rest: string): string | undefined {
  return path === undefined ? undefined : path + rest;
}

async function readIfPresent(
  readTextFile: (path: string) => Promise<string>,
  path: string,
): Promise<string | undefined> {
  try {
    return await readTextFile(path);
  } catch (error) {
    if (isFileAbsent(error)) return undefined;
    if (error instanceof HostError) throw error;
    throw new HostError(`Cannot read "${path}"`, { cause: error });
  }
}
