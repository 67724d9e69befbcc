import type { OciCredential } from "../../registries/oci/auth/credential.ts";

export type EngineName = "docker" | "podman";

export interface PullOptions {
  /** The image by digest: `ghcr.io/owner/app@sha256:…`. */
  image: string;
  /** `undefined` for an anonymous pull. Never part of an argument list. */
  credential: OciCredential | undefined;
  plainHttp: boolean;
  signal: AbortSignal;
}

export interface EngineImage {
  /** `sha256:…`. */
  id: string;
  /** The TCP ports of its EXPOSE lines, lowest first. */
  exposedPorts: readonly number[];
  /** Empty for root. */
  user: string;
  /** Its HEALTHCHECK. The engine waits one interval before each check, including the first. */
  healthcheck: { intervalMs: number } | undefined;
  names: readonly string[];
}

export interface ContainerSpec {
  name: string;
  /** The image, by digest or ID. */
  image: string;
  labels: Readonly<Record<string, string>>;
  /** The TCP ports to publish, each on a free port of loopback. */
  ports: readonly number[];
  user: string | undefined;
  /** The operator's options, checked by `checkContainerArgs`. */
  args: readonly string[];
  /** If empty, the image's own command runs. */
  command: readonly string[];
}

export interface PublishedPort {
  container: number;
  host: string;
  port: number;
}

export interface EngineContainer {
  id: string;
  /** Without Docker's leading slash. */
  name: string;
  image: string;
  imageId: string;
  /** `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
  status: string;
  /** The status of its HEALTHCHECK: `starting`, `healthy`, `unhealthy`; `undefined` without one. */
  health: string | undefined;
  checkEveryMs: number;
  /** `undefined` while it runs. */
  exitCode: number | undefined;
  wasOutOfMemory: boolean;
  /** How often the engine has restarted it. */
  restarts: number;
  /** Whether it was stopped or killed from outside, by its exit code or the engine's events. */
  wasSignalled: boolean;
  /** RFC 3339. */
  startedAt: string;
  labels: Readonly<Record<string, string>>;
  ports: readonly PublishedPort[];
}

export type LabelFilter = Readonly<Record<string, string>>;

/**
 * A container engine of this machine, driven by its command line. Every call has a timeout in
 * addition to the signal. A call that fails throws a `DewyError` with the engine's output; its
 * `fault` is `release` only if the image cannot be executed.
 */
export interface ContainerEngine {
  readonly name: EngineName;
  /** Returns the name and version, such as `Docker 20.10.24`. Throws if it is unavailable. */
  describe(signal: AbortSignal): Promise<string>;
  /** Throws a CredentialError if the registry refuses. */
  pull(options: PullOptions): Promise<void>;
  /** Removes the logins of pulls that were killed. Call it at the start, before the first pull. */
  forgetLogins(): Promise<void>;
  /** Finds a local image by name, digest or ID. */
  image(reference: string, signal: AbortSignal): Promise<EngineImage | undefined>;
  /** Lists the tagged names in a local repository, such as `dewy/app`. */
  imageNames(repository: string, signal: AbortSignal): Promise<readonly string[]>;
  tag(reference: string, name: string, signal: AbortSignal): Promise<void>;
  /** Removes a name, and the image with its last name. Returns false if the image is in use. */
  removeImage(name: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Starts a container and returns its ID. {@link ContainerEngine.inspect} returns its ports.
   * Removes the container if it cannot be started. Throws a ConflictError if the name is taken.
   */
  start(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
  list(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineContainer[]>;
  inspect(id: string, signal: AbortSignal): Promise<EngineContainer | undefined>;
  /** Oldest first; empty if the log driver cannot read them. */
  lastLines(id: string, count: number, signal: AbortSignal): Promise<readonly string[]>;
  /** Stops a container, and kills it after the timeout. Ignores a missing container. */
  stop(id: string, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Removes a stopped container with its anonymous volumes. Does nothing if it does not exist. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  /**
   * Calls back when a container exits or changes its health. Resolves when the signal is aborted, and
   * rejects if the engine ends the stream: list the containers, and watch again after a pause.
   */
  watch(labels: LabelFilter, onChange: (id: string) => void, signal: AbortSignal): Promise<void>;
}
