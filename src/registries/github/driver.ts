import { secretVariable, variable } from "../../core/environment.ts";
import { type EnvironmentSpec, FILE_OPTIONS, type RegistryDriver } from "../driver.ts";
import {
  GHR_SYNTAX,
  type GhrLocator,
  ghrFromWebAddress,
  parseGhrArtifactUrl,
  parseGhrUrl,
} from "./locator.ts";

const ENVIRONMENT: readonly EnvironmentSpec[] = [
  secretVariable("GH_TOKEN", "A token for GitHub; wins over GITHUB_TOKEN", "token"),
  secretVariable("GITHUB_TOKEN", "A token for GitHub", "token"),
  variable("GITHUB_APP_ID", "Signs in as this GitHub App; wins over tokens"),
  variable("GITHUB_APP_INSTALLATION_ID", "The installation of the GitHub App"),
  secretVariable("GITHUB_APP_PRIVATE_KEY", "The private key of the GitHub App, in PEM", "text"),
  variable("GITHUB_APP_PRIVATE_KEY_PATH", "A file with that key"),
  variable("GITHUB_API_URL", "The API of a GitHub Enterprise server"),
  variable("GITHUB_ENDPOINT", "The same, where GITHUB_API_URL is not set"),
  variable("GITHUB_ARTIFACT", "The artifact's name or pattern, where the URL has no artifact="),
];

/** Releases of a repository on GitHub or GitHub Enterprise: `ghr://<owner>/<repo>`. */
export const ghr: RegistryDriver<GhrLocator> = {
  scheme: "ghr",
  name: "GitHub Releases",
  syntax: GHR_SYNTAX,
  example: "ghr://linyows/myapp",
  commands: ["server", "assets"],
  options: FILE_OPTIONS,
  requestKeys: ["per_page", "page", "name"],
  credentialPrefixes: ["ACTIONS_", "GH_", "GITHUB_"],
  environment: ENVIRONMENT,
  parse: parseGhrUrl,
  fromWebAddress: ghrFromWebAddress,
  token: "A token for GitHub",
  features: ["anyPlatform", "exists", "report", "link"],
  artifact: {
    isRemote: true,
    parse: (url) => ({ name: parseGhrArtifactUrl(url).artifact }),
    async open(url, context, options) {
      const { openGhrArtifact } = await import("./registry.ts");
      return openGhrArtifact(url, context, options);
    },
  },
  async open(locator, context) {
    const { openGhr } = await import("./registry.ts");
    return openGhr(locator, context);
  },
};
