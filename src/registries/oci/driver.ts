import { ConfigError } from "../../core/error.ts";
import type { CurrentOptions, Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { AWS_VARIABLES, GOOGLE_VARIABLES } from "../cloud_environment.ts";
import type { EnvironmentSpec, RegistryContext, RegistryDriver } from "../driver.ts";
import { joinSignals, listRegistry } from "../list_registry.ts";
import { skipAbandoned } from "../skip_abandoned.ts";
import { createOciClient } from "./client.ts";
import { DOCKER_HUB, isDockerHub } from "./image_reference.ts";
import type { ImageRegistry } from "./image_registry.ts";
import {
  IMG_OPTIONS,
  IMG_SYNTAX,
  imgFromWebAddress,
  type OciLocator,
  parseImgUrl,
} from "./locator.ts";
import { ImgSource } from "./source.ts";

const ENVIRONMENT: readonly EnvironmentSpec[] = [
  {
    name: "DOCKER_USERNAME",
    description:
      "User name for the registry; without one: what `docker login` left, see docs/oci.md",
    secret: false,
  },
  { name: "DOCKER_PASSWORD", description: "Password or token of that user", secret: true },
  {
    name: "DOCKER_AUTH_CONFIG",
    description: "The text of a config.json of Docker",
    secret: true,
    value: "text",
  },
  {
    name: "DOCKER_CONFIG",
    description: "The directory of Docker's config.json",
    secret: false,
  },
  { name: "REGISTRY_AUTH_FILE", description: "Podman's auth.json", secret: false },
  {
    name: "GITHUB_TOKEN",
    description: "A token for ghcr.io, and for no other host",
    secret: true,
    value: "token",
  },
  {
    name: "AWS_ECR_PASSWORD",
    description: "A password for ECR; without one: AWS credentials",
    secret: true,
  },
  ...AWS_VARIABLES,
  {
    name: "GCR_TOKEN",
    description: "A key in JSON, or an access token, for registries of Google; without: Google's",
    secret: true,
    value: "text",
  },
  ...GOOGLE_VARIABLES,
  {
    name: "AZURE_CLIENT_ID",
    description:
      "With AZURE_TENANT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE: for registries of Azure; without: the managed identity",
    secret: false,
  },
  { name: "AZURE_TENANT_ID", description: "The tenant of that client", secret: false },
  { name: "AZURE_CLIENT_SECRET", description: "The secret of that client", secret: true },
  {
    name: "AZURE_FEDERATED_TOKEN_FILE",
    description: "A file with the token of a workload identity",
    secret: false,
  },
  {
    name: "AZURE_AUTHORITY_HOST",
    description: "The address of Microsoft Entra ID, where it is another cloud's",
    secret: false,
  },
  {
    name: "IDENTITY_ENDPOINT",
    description: "The managed identity's address on Azure App Service",
    secret: false,
  },
  {
    name: "IDENTITY_HEADER",
    description: "The secret for IDENTITY_ENDPOINT",
    secret: true,
    value: "token",
  },
];

/** Images of an OCI registry: `img://<registry-host>/<repository>`. */
export const img: RegistryDriver<OciLocator> = {
  scheme: "img",
  name: "OCI Registry",
  syntax: IMG_SYNTAX,
  example: "img://ghcr.io/myorg/myapp",
  commands: ["container"],
  options: IMG_OPTIONS,
  environment: ENVIRONMENT,
  parse: parseImgUrl,
  fromWebAddress: imgFromWebAddress,
  open: openImg,
};

/**
 * Opens a registry of images. An idle poll costs the list of tags and a `HEAD`, neither of which counts as a pull.
 *
 * @param locator the repository.
 * @param io the world.
 * @returns the registry; its artifacts are for a container runtime to pull.
 */
export function openImg(locator: OciLocator, io: RegistryContext): ImageRegistry {
  const client = createOciClient(locator, io);
  const source = new ImgSource(locator, client, io.platform);
  const listed = listRegistry({
    locator,
    io,
    source,
    async open(artifact, options = {}) {
      options.signal?.throwIfAborted();
      throw new ConfigError(
        `Cannot download "${redactUrl(artifact.url)}": an image is pulled by a container runtime; use dewy container`,
      );
    },
    async exists(tag, options = {}) {
      const signal = joinSignals(options.signal, io.signal);
      if ((await client.digest(tag, signal)) !== undefined) return true;
      // A registry says 404 also of what it does not show. Only who can still list may believe that a tag is gone.
      for await (const page of client.tags(signal)) if (page.includes(tag)) return true;
      return false;
    },
  });
  // Registries go on listing tags whose images have been deleted.
  const registry = skipAbandoned(listed);
  const translate = (options: CurrentOptions = {}): CurrentOptions => ({
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.exclude === undefined ? {} : { exclude: source.versions(options.exclude) }),
  });
  const spell = (resolution: Resolution): Resolution => {
    if (resolution.kind === "ready") {
      // The tag as it is there; the version as it is meant.
      const { release } = resolution;
      return { ...resolution, release: { ...release, tag: source.spelled(release.tag) } };
    }
    const { tag } = resolution;
    return tag === undefined ? resolution : { ...resolution, tag: source.spelled(tag) };
  };
  return {
    ...registry,
    // What is listed are images for one platform.
    anyPlatform: false,
    async pullAccess(digest, options = {}) {
      const { registry: host, repository, plainHttp } = locator;
      const credential = await client.credentialFor(digest, joinSignals(options.signal, io.signal));
      // Engines know Docker Hub by this name only.
      const name = isDockerHub(host) ? DOCKER_HUB : host;
      return { image: `${name}/${repository}@${digest}`, credential, plainHttp };
    },
    current: async (options) => spell(await registry.current(translate(options))),
    async explain(options) {
      const found = await registry.explain(translate(options));
      const tags = found.tags.map((one) => ({ ...one, tag: source.spelled(one.tag) }));
      return { ...found, tags, resolution: spell(found.resolution) };
    },
  };
}
