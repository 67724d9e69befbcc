import { decodePath, type OptionSpec, type SplitUrl } from "../core/url.ts";
import { badRegistryUrl, IMAGE_OPTIONS, type LocatorBase, readCommon } from "./driver.ts";

/** The form of an OCI registry URL. */
export const IMG_SYNTAX = "img://<registry-host>/<repository>";
/** The options of an OCI registry URL. */
export const IMG_OPTIONS: readonly OptionSpec[] = [
  ...IMAGE_OPTIONS,
  {
    name: "insecure",
    type: "boolean",
    description: "Whether plain HTTP may be used beyond loopback",
  },
];

/** A repository of an OCI registry. */
export interface OciLocator extends LocatorBase {
  /** The kind of registry. */
  type: "oci";
  /** The host that speaks the distribution API, with its port. */
  registry: string;
  /** The repository's name. */
  repository: string;
  /** Plain HTTP is allowed although the registry is not on loopback. */
  insecure: boolean;
}

const DOCKER_HUB = "registry-1.docker.io";
const DOCKER_HUB_NAMES = new Set(["docker.io", "index.docker.io", DOCKER_HUB]);
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/**
 * Reads `img://host/repository`. A first segment without a dot, a colon or the name `localhost` is no
 * host but a user of Docker Hub, as in `docker pull`.
 *
 * @param url the URL, taken apart.
 * @returns the locator.
 * @throws ConfigError when host or repository is missing or malformed.
 */
export function parseImgUrl(url: SplitUrl): OciLocator {
  const { common, query } = readCommon("oci", url, IMG_OPTIONS);
  const { registry, repository } = locate(url);
  if (!REPOSITORY.test(repository)) {
    throw badRegistryUrl(
      url,
      `"${repository}" is no repository name; dewy chooses the tag, so give none`,
      IMG_SYNTAX,
    );
  }
  return { ...common, registry, repository, insecure: query.flag("insecure") };
}

function locate(url: SplitUrl): { registry: string; repository: string } {
  const host = decodePath(url.host, url, "--registry");
  const path = decodePath(url.path, url, "--registry").replace(/^\/|\/$/g, "");
  if (host === "") throw badRegistryUrl(url, "registry host is required", IMG_SYNTAX);
  if (path === "") throw badRegistryUrl(url, "repository path is required", IMG_SYNTAX);
  if (!/[.:]/.test(host) && host !== "localhost") {
    return { registry: DOCKER_HUB, repository: `${host}/${path}` };
  }
  if (!DOCKER_HUB_NAMES.has(host)) return { registry: host, repository: path };
  return { registry: DOCKER_HUB, repository: path.includes("/") ? path : `library/${path}` };
}
