import { type EnvironmentSpec, FILE_OPTIONS, type RegistryDriver } from "../driver.ts";
import {
  GHR_SYNTAX,
  type GhrLocator,
  ghrFromWebAddress,
  parseGhrArtifactUrl,
  parseGhrUrl,
} from "./locator.ts";

const ENVIRONMENT: readonly EnvironmentSpec[] = [
  {
    name: "GH_TOKEN",
    description: "A token for GitHub; wins over GITHUB_TOKEN",
    secret: true,
    value: "token",
  },
  { name: "GITHUB_TOKEN", description: "A token for GitHub", secret: true, value: "token" },
  {
    name: "GITHUB_APP_ID",
    description: "Signs in as this GitHub App; wins over tokens",
    secret: false,
  },
  {
    name: "GITHUB_APP_INSTALLATION_ID",
    description: "The installation of the GitHub App",
    secret: false,
  },
  {
    name: "GITHUB_APP_PRIVATE_KEY",
    description: "The private key of the GitHub App, in PEM",
    secret: true,
    value: "text",
  },
  { name: "GITHUB_APP_PRIVATE_KEY_PATH", description: "A file with that key", secret: false },
  {
    name: "GITHUB_API_URL",
    description: "The API of a GitHub Enterprise server",
    secret: false,
  },
  {
    name: "GITHUB_ENDPOINT",
    description: "The same, where GITHUB_API_URL is not set",
    secret: false,
  },
  {
    name: "GITHUB_ARTIFACT",
    description: "The artifact's name or pattern, where the URL has no artifact=",
    secret: false,
  },
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
  features: ["anyPlatform", "exists", "report"],
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
