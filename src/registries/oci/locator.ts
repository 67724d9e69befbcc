import { decodePath, encodePath, type OptionSpec, option, type SplitUrl } from "../../core/url.ts";
import {
  badArtifactUrl,
  badRegistryUrl,
  IMAGE_OPTIONS,
  type LocatorBase,
  readRegistryQuery,
} from "../driver.ts";
import { DOCKER_HUB_HOST, isDockerHub, isRegistryHost } from "./image_reference.ts";

export const IMG_SYNTAX = "img://<registry-host>/<repository>";
export const IMG_OPTIONS: readonly OptionSpec[] = [
  ...IMAGE_OPTIONS,
  option("insecure", "Whether to use plain HTTP. Defaults to true on localhost only", "boolean"),
  option("realm", "A host in private address space that may issue tokens for the registry"),
];

/** A repository of an OCI registry. */
export interface OciLocator extends LocatorBase {
  /** The kind of registry. */
  type: "oci";
  /** The host of the distribution API, with its port. */
  registry: string;
  /** The repository's name. */
  repository: string;
  /** Whether plain HTTP is allowed although the registry is not on loopback. */
  insecure: boolean;
  /** Whether plain HTTP is used. */
  plainHttp: boolean;
  /** A host in private address space that may issue tokens; may be empty. */
  realm: string;
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)(:0*[1-9]\d{0,4})?$/;
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

const IMAGE_HOSTS =
  /^(ghcr\.io|quay\.io|docker\.io|(\w+\.)?gcr\.io|[\w-]+\.pkg\.dev|\w+\.azurecr\.io|[\w.-]+\.dkr\.ecr\.[\w-]+\.amazonaws\.com)$/;

export function imgFromWebAddress({ hostname, pathname }: URL): string | undefined {
  const [, official, user] = /^\/(?:_\/([^/]+)|r\/([^/]+\/[^/]+))/.exec(pathname) ?? [];
  if (hostname === "hub.docker.com") {
    return official === undefined ? user && `img://${user}` : `img://docker.io/library/${official}`;
  }
  const path = pathname.replace(/\/$/, "");
  return IMAGE_HOSTS.test(hostname) && path !== "" ? `img://${hostname}${path}` : undefined;
}

/**
 * Parses `img://host/repository`. As in `docker pull`, a first segment that has neither a dot nor a colon and is not
 * `localhost` belongs to Docker Hub: `img://owner/app` is a user's image, `img://nginx` an official one.
 */
export function parseImgUrl(url: SplitUrl): OciLocator {
  const { common, query } = readRegistryQuery("oci", url, IMG_OPTIONS);
  const { registry, repository } = locate(url);
  if (!REPOSITORY.test(repository)) {
    throw badRegistryUrl(
      url,
      `invalid repository name "${repository}"; ${hintOn(repository)}`,
      IMG_SYNTAX,
    );
  }
  const insecure = query.flag("insecure");
  const plainHttp = insecure || (query.text("insecure") === "" && LOOPBACK.test(registry));
  return { ...common, registry, repository, insecure, plainHttp, realm: query.text("realm") };
}

function hintOn(repository: string): string {
  const lower = repository.toLowerCase();
  return REPOSITORY.test(lower)
    ? `it must be lower case; did you mean ${lower}?`
    : "omit the tag, which dewy chooses";
}

function locate(url: SplitUrl): { registry: string; repository: string } {
  const written = decodePath(url.host, url, "--registry");
  const host = isRegistryHost(written) ? written.toLowerCase() : written;
  const path = decodePath(url.path, url, "--registry").replace(/^\/|\/$/g, "");
  if (host === "") throw badRegistryUrl(url, "registry host is required", IMG_SYNTAX);
  if (!isRegistryHost(host)) {
    return dockerHubRepository(DOCKER_HUB_HOST, path === "" ? host : `${host}/${path}`);
  }
  if (path === "") throw badRegistryUrl(url, "repository path is required", IMG_SYNTAX);
  if (!HOST.test(host) || !URL.canParse(`https://${host}`)) {
    throw badRegistryUrl(url, `invalid host "${host}"`, IMG_SYNTAX);
  }
  return dockerHubRepository(host, path);
}

/** Resolves Docker Hub's names: its API has its own host, and official images are below `library/`. */
export function dockerHubRepository(
  host: string,
  path: string,
): { registry: string; repository: string } {
  if (!isDockerHub(host)) return { registry: host, repository: path };
  return { registry: DOCKER_HUB_HOST, repository: path.includes("/") ? path : `library/${path}` };
}

export interface ImgArtifact {
  type: "oci";
  imageRef: string;
}

/** @returns `img://host/repository:tag`. */
export function formatImgArtifactUrl(a: {
  registry: string;
  repository: string;
  tag: string;
}): string {
  return `img://${a.registry}/${encodePath(a.repository, true)}:${encodePath(a.tag, false)}`;
}

/** Reads `img://host/repository:tag`. Throws a ConfigError if a part is missing or superfluous. */
export function parseImgArtifactUrl(url: SplitUrl): ImgArtifact {
  const host = decodePath(url.host, url, "the artifact URL");
  const image = decodePath(url.path.slice(1), url, "the artifact URL");
  if (host === "" || image === "") throw badArtifactUrl(url, "img://<host>/<repository>:<tag>");
  return { type: "oci", imageRef: `${host}/${image}` };
}
