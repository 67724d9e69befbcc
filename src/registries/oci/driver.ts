import { secretVariable, variable } from "../../core/environment.ts";
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
  variable(
    "DOCKER_USERNAME",
    "User name for the registry; without one: what `docker login` left, see docs/oci.md",
  ),
  secretVariable("DOCKER_PASSWORD", "Password or token of that user"),
  secretVariable("DOCKER_AUTH_CONFIG", "The text of a config.json of Docker", "text"),
  variable("DOCKER_CONFIG", "The directory of Docker's config.json"),
  variable("REGISTRY_AUTH_FILE", "Podman's auth.json"),
  secretVariable("GITHUB_TOKEN", "A token for ghcr.io, and for no other host", "token"),
  secretVariable("AWS_ECR_PASSWORD", "A password for ECR; without one: AWS credentials"),
  ...AWS_VARIABLES,
  secretVariable(
    "GCR_TOKEN",
    "A key in JSON, or an access token, for registries of Google; without: Google's",
    "text",
  ),
  ...GOOGLE_VARIABLES,
  variable(
    "AZURE_CLIENT_ID",
    "With AZURE_TENANT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE: for registries of Azure; without: the managed identity",
  ),
  variable("AZURE_TENANT_ID", "The tenant of that client"),
  secretVariable("AZURE_CLIENT_SECRET", "The secret of that client"),
  variable("AZURE_FEDERATED_TOKEN_FILE", "A file with the token of a workload identity"),
  variable(
    "AZURE_AUTHORITY_HOST",
    "The address of Microsoft Entra ID, where it is another cloud's",
  ),
  variable("IDENTITY_ENDPOINT", "The managed identity's address on Azure App Service"),
  secretVariable("IDENTITY_HEADER", "The secret for IDENTITY_ENDPOINT", "token"),
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
