/** The name of an image, as `docker pull` reads it. */
export interface ImageReference {
  /** Host and port; `docker.io` if the name has none. */
  registry: string;
  /** As written, but without tag and digest. */
  name: string;
  /** The repository on its registry: `library/nginx` for `nginx`. */
  repository: string;
  /** May be empty. */
  tag: string;
  /** May be empty. */
  digest: string;
}

export const DOCKER_HUB = "docker.io";
/** Docker Hub's host for the distribution API. */
export const DOCKER_HUB_HOST = "registry-1.docker.io";

/**
 * Splits the name of an image, such as `nginx`, `ghcr.io/o/r:v1` or `localhost:5000/app@sha256:…`. The parts are not
 * validated. See https://github.com/distribution/reference/blob/main/reference.go
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

/** Whether the part before the first slash is a host, not the start of a repository on Docker Hub. */
export function isRegistryHost(segment: string): boolean {
  return /[.:]/.test(segment) || segment === "localhost";
}

/** Whether a host is Docker Hub, which has several names. (`registry.hub.docker.com` is another service.) */
export function isDockerHub(host: string): boolean {
  return [DOCKER_HUB, "index.docker.io", DOCKER_HUB_HOST].includes(host.toLowerCase());
}
