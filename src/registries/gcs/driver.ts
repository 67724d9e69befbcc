import { variable } from "../../core/environment.ts";
import { GOOGLE_VARIABLES } from "../cloud_environment.ts";
import { type EnvironmentSpec, FILE_OPTIONS, lastPart, type RegistryDriver } from "../driver.ts";
import {
  GS_SYNTAX,
  type GsLocator,
  gsFromWebAddress,
  parseGsArtifactUrl,
  parseGsUrl,
} from "./locator.ts";

const ENVIRONMENT: readonly EnvironmentSpec[] = [
  ...GOOGLE_VARIABLES,
  variable("STORAGE_EMULATOR_HOST", "Address of an emulator, which is asked without credentials"),
];

/** Releases in a bucket of Google Cloud Storage: `gs://<bucket>/<path-prefix>`. */
export const gs: RegistryDriver<GsLocator> = {
  scheme: "gs",
  name: "Google Cloud Storage",
  syntax: GS_SYNTAX,
  example: "gs://my-releases-bucket/myapp",
  commands: ["server", "assets"],
  options: FILE_OPTIONS,
  requestKeys: ["prefix", "delimiter", "name"],
  credentialPrefixes: ["CLOUDSDK_", "GCE_", "GOOGLE_"],
  environment: ENVIRONMENT,
  parse: parseGsUrl,
  fromWebAddress: gsFromWebAddress,
  token: "An OAuth access token",
  features: ["anyPlatform", "exists", "report"],
  artifact: {
    isRemote: true,
    parse: (url) => ({ name: lastPart(parseGsArtifactUrl(url).object) }),
    async open(url, context, options) {
      const { openGsArtifact } = await import("./registry.ts");
      return openGsArtifact(url, context, options);
    },
  },
  async open(locator, context) {
    const { openGs } = await import("./registry.ts");
    return openGs(locator, context);
  },
};
