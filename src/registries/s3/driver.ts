import { variable } from "../../core/environment.ts";
import { AWS_VARIABLES } from "../cloud_environment.ts";
import { lastPart, type RegistryDriver } from "../driver.ts";
import {
  parseS3ArtifactUrl,
  parseS3Url,
  S3_OPTIONS,
  S3_SYNTAX,
  type S3Locator,
  s3FromWebAddress,
} from "./locator.ts";

/** Releases in a bucket of S3, or of a compatible service. */
export const s3: RegistryDriver<S3Locator> = {
  scheme: "s3",
  name: "AWS S3",
  syntax: S3_SYNTAX,
  example: "s3://ap-northeast-1/my-releases/myapp",
  commands: ["server", "assets"],
  options: S3_OPTIONS,
  requestKeys: [
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "encoding-type",
    "response-content-encoding",
    "start-after",
  ],
  credentialPrefixes: ["AWS_"],
  environment: [
    ...AWS_VARIABLES,
    variable(
      "AWS_ENDPOINT_URL_S3",
      "Address of an S3-compatible service; wins over AWS_ENDPOINT_URL",
    ),
    variable("AWS_ENDPOINT_URL", "Address of an S3-compatible service"),
    variable(
      "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
      "true: addresses in the environment and in AWS profiles do not count",
    ),
  ],
  parse: parseS3Url,
  fromWebAddress: s3FromWebAddress,
  features: ["anyPlatform", "exists", "report", "link"],
  artifact: {
    isRemote: true,
    parse(url) {
      const { key, endpoint } = parseS3ArtifactUrl(url);
      return { name: lastPart(key), endpoint: endpoint || undefined };
    },
    async open(url, context, options) {
      const { openS3Artifact } = await import("./registry.ts");
      return openS3Artifact(url, context, options);
    },
  },
  async open(locator, context) {
    const { openS3 } = await import("./registry.ts");
    return openS3(locator, context);
  },
};
