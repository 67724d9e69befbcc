import type { OciCredential } from "../../registries/oci/auth/credential.ts";

/** The programs that can run containers for dewy. */
export type EngineName = "docker" | "podman";

/** A pull of one image. */
export interface PullOptions {
  /** The image by digest: `ghcr.io/owner/app@sha256:…`. */
  image: string;
  /** Who asks; `undefined`: anonymously. Never part of an argument list. */
  credential: OciCredential | undefined;
  /** The registry is spoken to over plain HTTP. */
  plainHttp: boolean;
  signal: AbortSignal;
}

/** What an engine knows of an image that it has. */
export interface EngineImage {
  /** The engine's identifier, `sha256:…`. */
  id: string;
  /** The TCP ports of its EXPOSE lines, lowest first. */
  exposedPorts: readonly number[];
  /** Its USER; empty: root. */
  user: string;
  /** Its HEALTHCHECK, and the pause before each check, the first as well; `undefined`: it has none. */
  healthcheck: { intervalMs: number } | undefined;
  /** Every name with a tag that leads to it. */
  names: readonly string[];
}

/** A container to start. */
export interface ContainerSpec {
  /** Its name. */
  name: string;
  /** The image, by digest or identifier. */
  image: string;
  /** Labels by name. */
  labels: Readonly<Record<string, string>>;
  /** The TCP ports to publish, each on a free port of loopback. */
  ports: readonly number[];
  /** The value of `--user`; `undefined`: what the image says. */
  user: string | undefined;
  /** The operator's own options, checked by `checkContainerArgs`. */
  args: readonly string[];
  /** What to run instead of the image's own command; empty: that one. */
  command: readonly string[];
}

/** The address at which a port of a container is reached from this machine. */
export interface PublishedPort {
  /** The port inside the container. */
  container: number;
  /** An address of this machine. */
  host: string;
  port: number;
}

/** What an engine knows of a container. */
export interface EngineContainer {
  id: string;
  /** Its name, without the slash that Docker puts before it. */
  name: string;
  /** The image as it was named at its start. */
  image: string;
  /** The identifier of that image. */
  imageId: string;
  /** `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
  status: string;
  /** What its HEALTHCHECK says: `starting`, `healthy`, `unhealthy`; `undefined`: it has none. */
  health: string | undefined;
  /** The pause before each check of that, the first as well, in milliseconds. */
  checkEveryMs: number;
  /** How it ended; `undefined` while it runs. */
  exitCode: number | undefined;
  /** The kernel ended it because it used too much memory. */
  wasOutOfMemory: boolean;
  /** It was stopped or killed from outside: its exit code says so, or the engine that was being watched. */
  wasSignalled: boolean;
  /** When it was started, as the engine says it: RFC 3339. */
  startedAt: string;
  labels: Readonly<Record<string, string>>;
  ports: readonly PublishedPort[];
}

/** Labels that a container must have. */
export type LabelFilter = Readonly<Record<string, string>>;

/**
 * A container engine of this machine, driven by its command line. Every call has a timeout besides the signal. A call
 * that fails throws a `DewyError` with the engine's words; its `fault` is `release` only if the image cannot be executed.
 */
export interface ContainerEngine {
  readonly name: EngineName;
  /** Tells which engine answers, such as `Docker 20.10.24`. Throws when it is not installed or cannot be reached. */
  describe(signal: AbortSignal): Promise<string>;
  /** Brings an image here. Throws a CredentialError when the registry refuses. */
  pull(options: PullOptions): Promise<void>;
  /** Removes the login of a pull in the middle of which dewy was killed. For the start, before anything is pulled. */
  forgetLogins(): Promise<void>;
  /** Looks for an image that is here, by name, digest or identifier. */
  image(reference: string, signal: AbortSignal): Promise<EngineImage | undefined>;
  /** Lists the names with a tag that images have in a local repository, such as `dewy/app`. */
  imageNames(repository: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Gives an image one more name. */
  tag(reference: string, name: string, signal: AbortSignal): Promise<void>;
  /** Takes a name from an image, and removes it with its last one. Never by force. @returns false when it is in use. */
  removeImage(name: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Starts a container. What could not be started is removed. A ConflictError: the name is taken.
   *
   * @returns its identifier. Its ports are known from then on, by {@link ContainerEngine.inspect}.
   */
  start(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
  /** Lists containers in whatever state. */
  list(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineContainer[]>;
  /** Looks one container up. */
  inspect(id: string, signal: AbortSignal): Promise<EngineContainer | undefined>;
  /** What a container wrote last, oldest first; empty when the engine cannot tell. */
  lastLines(id: string, count: number, signal: AbortSignal): Promise<readonly string[]>;
  /** Asks a container to end, and ends it after a time in milliseconds. It may be gone already. */
  stop(id: string, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Removes a container that has ended, with its anonymous volumes. It may be gone already. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  /**
   * Calls back whenever a container with these labels dies or changes its health. Resolves when the signal ends it;
   * rejects when the engine ends the stream, so that the caller lists again and watches again after a pause.
   */
  watch(labels: LabelFilter, onChange: (id: string) => void, signal: AbortSignal): Promise<void>;
}
