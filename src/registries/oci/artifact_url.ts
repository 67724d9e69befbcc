import { decodePath, encodePath, type SplitUrl } from "../../core/url.ts";
import { badArtifactUrl } from "../driver.ts";

/** An image in a registry. */
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

/**
 * Reads `img://host/repository:tag`; a query means nothing.
 *
 * @param url the URL, taken apart.
 * @returns the image's name as a container runtime takes it.
 * @throws ConfigError when host or repository is missing.
 */
export function parseImgArtifactUrl(url: SplitUrl): ImgArtifact {
  const host = decodePath(url.host, url, "the artifact URL");
  const image = decodePath(url.path.slice(1), url, "the artifact URL");
  if (host === "" || image === "") throw badArtifactUrl(url, "img://<host>/<repository>:<tag>");
  return { type: "oci", imageRef: `${host}/${image}` };
}
