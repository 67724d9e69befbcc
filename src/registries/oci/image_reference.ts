/**
 * The names of images, as `docker pull` reads them.
 *
 * @module
 */

/** A name of an image, taken apart. */
export interface ImageReference {
  /** The registry's host with its port; `docker.io` where the name has none. */
  registry: string;
  /** The repository as written, with the host where one is written, without tag and digest. */
  name: string;
  /** The repository on its registry: `library/nginx` for `nginx`. */
  repository: string;
  /** The tag; empty: none. */
  tag: string;
  /** The digest; empty: none. */
  digest: string;
}

/** Docker Hub, as people call it. */
export const DOCKER_HUB = "docker.io";
/** The host of Docker Hub that speaks the distribution API. */
export const DOCKER_HUB_HOST = "registry-1.docker.io";

/**
 * Takes the name of an image apart. A first segment without a dot, a colon or the name `localhost` is no host.
 *
 * @param text `nginx`, `ghcr.io/o/r:v1`, `localhost:5000/app@sha256:…`.
 * @returns its parts; they are not checked further.
 * @see https://github.com/distribution/reference/blob/main/reference.go
 */
export function parseImageReference(text: string): ImageReference {
  const [named = "", digest = ""] = text.split("@", 2);
  // A colon in the last segment begins a tag; one before it, a port.
  const [, name = named, tag = ""] = /^(.*?)(?::([^:/]*))?$/s.exec(named) ?? [];
  const slash = name.indexOf("/");
  const host = slash < 0 ? "" : name.slice(0, slash);
  if (!isRegistryHost(host)) {
    const repository = slash < 0 ? `library/${name}` : name;
    return { registry: DOCKER_HUB, name, repository, tag, digest };
  }
  return { registry: host, name, repository: name.slice(slash + 1), tag, digest };
}

/**
 * Tells a host from the first part of a repository on Docker Hub.
 *
 * @param segment what stands before the first slash.
 * @returns whether it is a host.
 */
export function isRegistryHost(segment: string): boolean {
  return /[.:]/.test(segment) || segment === "localhost";
}

/**
 * Tells whether a host is Docker Hub, which has several names. `registry.hub.docker.com` is none of them.
 *
 * @param host a registry's host.
 * @returns whether it is Docker Hub.
 */
export function isDockerHub(host: string): boolean {
  return [DOCKER_HUB, "index.docker.io", DOCKER_HUB_HOST].includes(host.toLowerCase());
}
