import { isFileAbsent } from "../../../auth/absent_file.ts";
import { HostError } from "../../../core/error.ts";
import type { CredentialSource, OciCredential, OciTarget } from "./credential.ts";
import {
  type DockerConfig,
  dockerHelper,
  dockerLogin,
  helperServer,
  readDockerConfig,
} from "./docker_config.ts";

/** What a credential helper answers. */
export interface HelperAnswer {
  /** The user name; `<token>`: the secret is a refresh token. */
  username: string;
  /** The secret. */
  secret: string;
}

/** Asks `docker-credential-<helper>` for the login of a server; `undefined` when it has none. */
export type CredentialHelper = (
  helper: string,
  server: string,
  signal?: AbortSignal,
) => Promise<HelperAnswer | undefined>;

/** Where logins of Docker and Podman may be. */
export interface DockerIo {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** Reads a file of this machine; absent on the edge. */
  readTextFile?: (path: string) => Promise<string>;
  /** Absent on the edge. */
  credentialHelper?: CredentialHelper;
}

/** A text of Docker's configuration, and what it is called. */
interface ConfigFile {
  name: string;
  read(): Promise<string | undefined>;
}

/**
 * The places where `docker login` and `podman login` leave credentials: `DOCKER_AUTH_CONFIG`, Docker's config.json,
 * Podman's auth.json; of each, the credential helper first, then what stands in the file.
 *
 * @param target the registry and repository.
 * @param io the environment and files.
 * @returns the places, in order.
 */
export function dockerSources(target: OciTarget, io: DockerIo): CredentialSource[] {
  return configFiles(io).flatMap((file) => {
    const config = async (): Promise<DockerConfig> => readDockerConfig((await file.read()) ?? "");
    const fromHelper: CredentialSource = {
      name: `the credential helper of ${file.name}`,
      async find(signal) {
        // The next source reads the same file, and reports what is wrong with it.
        const found = await config().catch(() => undefined);
        const helper = found === undefined ? undefined : dockerHelper(found, target);
        return askHelper(helper, target.registry, io, signal);
      },
    };
    const fromFile: CredentialSource = {
      name: file.name,
      find: async () => dockerLogin(await config(), target),
    };
    return io.credentialHelper === undefined ? [fromFile] : [fromHelper, fromFile];
  });
}

async function askHelper(
  helper: string | undefined,
  registry: string,
  io: DockerIo,
  signal: AbortSignal | undefined,
): Promise<OciCredential | undefined> {
  if (helper === undefined) return undefined;
  const found = await io.credentialHelper?.(helper, helperServer(registry), signal);
  if (found === undefined || found.secret === "") return undefined;
  // https://github.com/docker/cli/blob/master/cli/config/credentials/native_store.go
  if (found.username === "<token>") return { kind: "refresh", token: found.secret };
  return { kind: "basic", username: found.username, password: found.secret };
}

function configFiles(io: DockerIo): ConfigFile[] {
  const inline = io.env.DOCKER_AUTH_CONFIG ?? "";
  const { readTextFile } = io;
  return [
    ...(inline === "" ? [] : [{ name: "DOCKER_AUTH_CONFIG", read: async () => inline }]),
    ...(readTextFile === undefined
      ? []
      : configPaths(io.env).map((path) => ({
          name: path,
          read: () => readIfThere(readTextFile, path),
        }))),
  ];
}

/** https://docs.docker.com/reference/cli/docker/#configuration-files */
function configPaths(env: DockerIo["env"]): string[] {
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

async function readIfThere(
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
