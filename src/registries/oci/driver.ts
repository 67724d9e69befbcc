import { AWS_VARIABLES, GOOGLE_VARIABLES } from "../cloud_environment.ts";
import type { EnvironmentSpec, RegistryDriver } from "../driver.ts";
import {
  IMG_OPTIONS,
  IMG_SYNTAX,
  imgFromWebAddress,
  type OciLocator,
  parseImgUrl,
} from "./locator.ts";

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
  requestKeys: ["n", "last", "service", "scope"],
  credentialPrefixes: [
    "AWS_",
    "AZURE_",
    "CLOUDSDK_",
    "DOCKER_",
    "GCE_",
    "GOOGLE_",
    "REGISTRY_AUTH_",
  ],
  environment: ENVIRONMENT,
  parse: parseImgUrl,
  fromWebAddress: imgFromWebAddress,
  token: "A password or access token, with the user name `token`",
  features: ["exists", "pullAccess"],
  async open(locator, context) {
    const { openImg } = await import("./registry.ts");
    const { token, registryLogin = token && { username: "token", password: token } } = context;
    return openImg(locator, { ...context, registryLogin: registryLogin || undefined });
  },
};
