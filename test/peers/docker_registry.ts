/**
 * A real registry, Debian's docker-registry: open, with passwords, with tokens or with TLS. buildah
 * makes images for it.
 *
 * Debian: `apt-get install -y --no-install-recommends docker-registry buildah`.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { importPKCS8, SignJWT } from "jose";
import { generate } from "selfsigned";
import { systemClock } from "../../src/core/clock.ts";
import type { ImagePublisher } from "../fakes/image_signatures.ts";
import { type Served, serveFetch } from "../fakes/serve.ts";
import { missingPeer } from "./missing_peer.ts";
import { freePorts } from "./ports.ts";

const PROGRAMS = ["docker-registry", "buildah"];
const call = promisify(execFile);

/** The login of registries with authentication. */
export const LOGIN = { username: "dewy", password: "secret" };
// bcrypt, of the password above.
const HTPASSWD = "dewy:$2b$05$v5TLNmupdz14AlN/aVSl9uE8gf5EfvDjWUtuMcVRewhaG7JfLXy7K\n";

/** A refresh token that the token service accepts, as `docker login` would have stored it. */
export const REFRESH_TOKEN = "refresh-token-of-dewy";

export interface DockerRegistryOptions {
  auth?: "none" | "htpasswd" | "token";
  /** With a certificate of a private authority. */
  tls?: boolean;
  /** Whether the token service issues tokens without a login. */
  anonymousTokens?: boolean;
}

export interface DockerRegistry {
  /** `127.0.0.1:<port>` */
  host: string;
  /** A PEM file of the authority; empty without TLS. */
  caFile: string;
  /** The number of token requests so far. */
  tokenRequests(): number;
  /** Returns a token for pulling from a repository. */
  pullToken(repository: string): Promise<string>;
  /** Pushes one small image without an index. Not over TLS. */
  push(repository: string, tag: string, image?: PushedImage): Promise<void>;
  /** Pushes an index of small images, one for each `os/architecture`. Not over TLS. */
  pushIndex(
    repository: string,
    tag: string,
    platforms: readonly string[],
    image?: PushedImage,
  ): Promise<void>;
  /** Pushes signatures of images. */
  publisher(repository: string): ImagePublisher;
  /** Pushes an image whose layer is missing: it can be found, but not pulled. */
  pushBroken(repository: string, tag: string): Promise<void>;
  /** Deletes the manifest that a tag points to, and the tag with it. */
  remove(repository: string, tag: string): Promise<void>;
  /** Builds an image for each platform with buildah, and pushes them under one index. */
  buildah(repository: string, tag: string, platforms: readonly string[]): Promise<void>;
  /** Stops the registry and removes its data. */
  stop(): Promise<void>;
}

export interface PushedImage {
  os?: string;
  architecture?: string;
  created?: string;
  /** Whether it has Docker's format, as made by older tools, instead of OCI's. */
  isDocker?: boolean;
  /** Its content. Defaults to none. */
  layer?: ImageLayer;
  /** How it runs: https://github.com/opencontainers/image-spec/blob/main/config.md#properties */
  config?: Readonly<Record<string, unknown>>;
}

export interface ImageLayer {
  /** A tar.gz. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The digest of the tar inside. */
  diffId: string;
}

/** Returns why a registry cannot be started here; see {@link missingPeer}. */
export function missingDockerRegistry(): string | undefined {
  return missingPeer(PROGRAMS, "docker-registry buildah");
}

/** Starts a registry in memory, in about a tenth of a second. */
export async function startDockerRegistry(
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-registry-"));
  const [port = 0] = await freePorts(1);
  const host = `127.0.0.1:${port}`;
  const keys = await makeKeys(directory);
  const issuer = options.auth === "token" ? await startIssuer(keys, options) : undefined;
  const config = join(directory, "config.yml");
  await writeFile(join(directory, "htpasswd"), HTPASSWD);
  await writeFile(config, configuration(directory, host, options, issuer?.url ?? ""));
  const log = join(directory, "log");
  const server = spawn(
    "/bin/sh",
    ["-c", 'exec docker-registry serve "$0" >"$1" 2>&1', config, log],
    {
      stdio: "ignore",
    },
  );
  const stop = async (): Promise<void> => {
    server.kill("SIGKILL");
    await issuer?.close();
    // The killed server may finish a last write.
    await rm(directory, { recursive: true, force: true, maxRetries: 8, retryDelay: 50 });
  };
  watchOver(server, directory);
  try {
    await untilItAnswers(host, server);
  } catch (error) {
    const output = await readFile(log, "utf8").catch(() => "");
    await stop();
    throw new Error(`docker-registry did not start: ${String(error)}\n${output.slice(-2000)}`);
  }
  const client = rawClient(`http://${host}`, keys, options);
  return {
    host,
    caFile: options.tls ? keys.certFile : "",
    tokenRequests: () => issuer?.requests() ?? 0,
    pullToken: (name) => keys.sign({ type: "repository", name, actions: ["pull"] }),
    push: async (repository, tag, image = {}) =>
      void (await pushImage(client, repository, tag, image)),
    pushIndex: (repository, tag, platforms, image = {}) =>
      pushIndex(client, repository, tag, platforms, image),
    publisher: (repository) => publisherTo(client, repository),
    async pushBroken(repository, tag) {
      const bytes = new Uint8Array(gzipSync(randomBytes(1024)));
      const layer = { bytes, diffId: digestOf(bytes) };
      await pushImage(client, repository, tag, { layer });
      await client("DELETE", `/v2/${repository}/blobs/${layer.diffId}`, repository);
    },
    async remove(repository, tag) {
      const path = `/v2/${repository}/manifests/`;
      const { headers } = await client("HEAD", path + tag, repository);
      await client("DELETE", path + (headers.get("docker-content-digest") ?? ""), repository);
    },
    buildah: (repository, tag, platforms) =>
      buildAndPush(directory, `${host}/${repository}:${tag}`, platforms, options),
    stop,
  };
}

/** Stops the registry when this process exits, for whatever reason. */
function watchOver(server: ChildProcess, directory: string): void {
  const script = 'read -r end; kill -9 "$1" 2>/dev/null; rm -rf -- "$0"';
  const shell = spawn("/bin/sh", ["-c", script, directory, String(server.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.unref();
  server.once("exit", () => shell.stdin.end());
}

function configuration(
  directory: string,
  host: string,
  { auth = "none", tls = false }: DockerRegistryOptions,
  issuer: string,
): string {
  const settings = {
    version: "0.1",
    log: { level: "error" },
    storage: { inmemory: {}, delete: { enabled: true } },
    http: {
      addr: host,
      ...(tls
        ? { tls: { certificate: join(directory, "cert.pem"), key: join(directory, "key.pem") } }
        : {}),
    },
    ...(auth === "htpasswd"
      ? { auth: { htpasswd: { realm: "registry, of tests", path: join(directory, "htpasswd") } } }
      : {}),
    ...(auth === "token"
      ? {
          auth: {
            token: {
              realm: `${issuer}/token`,
              service: "registry of tests",
              issuer: "dewy-test",
              rootcertbundle: join(directory, "signer.pem"),
            },
          },
        }
      : {}),
  };
  // JSON is YAML.
  return JSON.stringify(settings);
}

interface Keys {
  certFile: string;
  sign(access: object): Promise<string>;
}

async function makeKeys(directory: string): Promise<Keys> {
  const certFile = join(directory, "cert.pem");
  const names = [{ name: "commonName", value: "127.0.0.1" }];
  const server = await generate(names, {
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
    ],
  });
  const signer = await generate([{ name: "commonName", value: "issuer" }], {
    keyType: "ec",
    curve: "P-256",
  });
  await writeFile(certFile, server.cert);
  await writeFile(join(directory, "key.pem"), server.private);
  await writeFile(join(directory, "signer.pem"), signer.cert);
  const key = await importPKCS8(signer.private, "ES256");
  const x5c = [signer.cert.replace(/-----[^-]+-----|\s/g, "")];
  return {
    certFile,
    sign: (access) =>
      new SignJWT({ access: [access] })
        .setProtectedHeader({ alg: "ES256", typ: "JWT", x5c })
        .setIssuer("dewy-test")
        .setAudience("registry of tests")
        .setSubject("")
        .setJti(randomUUID())
        .setIssuedAt()
        .setNotBefore("-10s")
        .setExpirationTime("5m")
        .sign(key),
  };
}

interface Issuer extends Served {
  requests(): number;
}

/** A token service: https://distribution.github.io/distribution/spec/auth/token/ */
async function startIssuer(
  keys: Keys,
  { anonymousTokens = false }: DockerRegistryOptions,
): Promise<Issuer> {
  let requests = 0;
  const expected = `Basic ${btoa(`${LOGIN.username}:${LOGIN.password}`)}`;
  const served = await serveFetch(async (request) => {
    requests += 1;
    // https://distribution.github.io/distribution/spec/auth/oauth/
    const isGrant = request.method === "POST";
    const text = isGrant ? await request.text() : new URL(request.url).search;
    const searchParams = new URLSearchParams(text);
    const authorization = request.headers.get("authorization") ?? "";
    const allowed = isGrant
      ? searchParams.get("refresh_token") === REFRESH_TOKEN
      : authorization === expected || (authorization === "" && anonymousTokens);
    if (!allowed) return Response.json({ details: "no" }, { status: 401 });
    const [type = "", name = "", actions = ""] = (searchParams.get("scope") ?? "").split(":");
    const token = await keys.sign({ type, name, actions: actions.split(",") });
    const times = { expires_in: 300, issued_at: new Date().toISOString() };
    return Response.json({ token, access_token: token, ...times });
  });
  return { ...served, requests: () => requests };
}

type RawClient = (
  method: string,
  path: string,
  repository: string,
  body?: string | Uint8Array<ArrayBuffer>,
  type?: string,
) => Promise<Response>;

/** Talks to the registry as a publisher, which dewy is not. */
function rawClient(base: string, keys: Keys, { auth }: DockerRegistryOptions): RawClient {
  return async (method, path, repository, body, type) => {
    const headers = new Headers();
    if (type !== undefined) headers.set("content-type", type);
    if (auth === "htpasswd") {
      headers.set("authorization", `Basic ${btoa(`${LOGIN.username}:${LOGIN.password}`)}`);
    }
    if (auth === "token") {
      const actions = ["pull", "push", "delete"];
      const token = await keys.sign({ type: "repository", name: repository, actions });
      headers.set("authorization", `Bearer ${token}`);
    }
    headers.set("accept", [OCI.manifest, DOCKER.manifest, INDEX].join(", "));
    const url = path.startsWith("http") ? path : base + path;
    const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    if (!response.ok)
      throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
    return response;
  };
}

const OCI = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
};
const DOCKER = {
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
};
const INDEX = "application/vnd.oci.image.index.v1+json";

async function pushImage(
  client: RawClient,
  repository: string,
  tag: string,
  image: PushedImage,
): Promise<{ mediaType: string; digest: string; size: number }> {
  const { os = "linux", architecture = "amd64", created = "2026-01-02T03:04:05Z" } = image;
  const rootfs = {
    type: "layers",
    diff_ids: image.layer === undefined ? [] : [image.layer.diffId],
  };
  const labels = { config: { ...image.config, Labels: { tag } } };
  const text = JSON.stringify({ os, architecture, created, rootfs, ...labels });
  const types = image.isDocker ? DOCKER : OCI;
  const blob = async (mediaType: string, bytes: Uint8Array<ArrayBuffer>): Promise<object> => ({
    mediaType,
    ...(await pushBlob(client, repository, bytes)),
  });
  const config = await blob(types.config, new TextEncoder().encode(text));
  const layers = image.layer === undefined ? [] : [await blob(types.layer, image.layer.bytes)];
  const mediaType = types.manifest;
  const body = JSON.stringify({ schemaVersion: 2, mediaType, config, layers });
  const digest = digestOf(body);
  const path = `/v2/${repository}/manifests/${tag === "" ? digest : tag}`;
  await client("PUT", path, repository, body, mediaType);
  return { mediaType, digest, size: body.length };
}

async function pushBlob(
  client: RawClient,
  repository: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ digest: string; size: number }> {
  const digest = digestOf(bytes);
  const { headers } = await client("POST", `/v2/${repository}/blobs/uploads/`, repository, "");
  const at = new URL(headers.get("location") ?? "", "http://none");
  at.searchParams.set("digest", digest);
  const location = at.host === "none" ? at.pathname + at.search : at.href;
  await client("PUT", location, repository, bytes, "application/octet-stream");
  return { digest, size: bytes.length };
}

function publisherTo(client: RawClient, repository: string): ImagePublisher {
  return {
    async blob(value, mediaType) {
      const bytes = new TextEncoder().encode(JSON.stringify(value));
      return { mediaType, ...(await pushBlob(client, repository, bytes)) };
    },
    async manifest(value, mediaType, tag) {
      const body = JSON.stringify(value);
      const digest = digestOf(body);
      const path = `/v2/${repository}/manifests/${tag ?? digest}`;
      await client("PUT", path, repository, body, mediaType);
      return { mediaType, digest, size: Buffer.byteLength(body) };
    },
  };
}

async function pushIndex(
  client: RawClient,
  repository: string,
  tag: string,
  platforms: readonly string[],
  image: PushedImage,
): Promise<void> {
  const manifests: object[] = [];
  for (const name of platforms) {
    const [os = "", architecture = ""] = name.split("/");
    const pushed = await pushImage(client, repository, "", { ...image, os, architecture });
    manifests.push({ ...pushed, platform: { os, architecture } });
  }
  const annotations = { tag };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests, annotations });
  await client("PUT", `/v2/${repository}/manifests/${tag}`, repository, body, INDEX);
}

function digestOf(content: string | Uint8Array): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

async function buildAndPush(
  directory: string,
  image: string,
  platforms: readonly string[],
  { auth = "none" }: DockerRegistryOptions,
): Promise<void> {
  const storage = ["--root", join(directory, "images"), "--runroot", join(directory, "run")];
  const buildah = (...args: string[]): Promise<unknown> =>
    call("buildah", ["--storage-driver", "vfs", ...storage, ...args], { timeout: 60_000 });
  const context = join(directory, "context");
  const list = `dewy-${randomUUID()}`;
  await call("mkdir", ["-p", context]);
  await writeFile(join(context, "Containerfile"), "FROM scratch\nCOPY hello /hello\n");
  await writeFile(join(context, "hello"), "hello");
  await buildah("manifest", "create", list);
  for (const platform of platforms) {
    const file = join(context, "Containerfile");
    await buildah("build", "-q", "--platform", platform, "--manifest", list, "-f", file, context);
  }
  const login = auth === "none" ? [] : ["--creds", `${LOGIN.username}:${LOGIN.password}`];
  await buildah(
    "manifest",
    "push",
    "--all",
    ...login,
    "--tls-verify=false",
    list,
    `docker://${image}`,
  );
}

async function untilItAnswers(host: string, server: ChildProcess): Promise<void> {
  const [address = "", port = ""] = host.split(":");
  const deadline = Date.now() + 45_000;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`it ended with ${server.exitCode}`);
    const answers = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), address);
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (answers) return;
    if (Date.now() > deadline) throw new Error("the registry does not listen");
    await systemClock.sleep(20);
  }
}
