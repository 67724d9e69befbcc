import { secretVariable } from "../../core/environment.ts";
import type { RegistryDriver } from "../driver.ts";
import {
  HTTPS_OPTIONS,
  HTTPS_SYNTAX,
  type HttpsLocator,
  parseHttpsUrl,
  TOKEN_VARIABLE,
} from "./locator.ts";

/** A handler of `dewy/handler`, or another server of the same contract: `https://<host>/<path>`. See docs/handler.md. */
export const https: RegistryDriver<HttpsLocator> = {
  scheme: "https",
  name: "Handler",
  syntax: HTTPS_SYNTAX,
  example: "https://versions.example.com/app",
  commands: ["server", "assets"],
  options: HTTPS_OPTIONS,
  requestKeys: ["platform", "tag", "file"],
  environment: [
    secretVariable(
      TOKEN_VARIABLE,
      "A bearer token for the handler; sent with reports of deploys, and where the handler asks for it",
      "token",
    ),
  ],
  parse: parseHttpsUrl,
  token: "A bearer token for the handler",
  features: ["report"],
  async open(locator, context) {
    const { openHttps } = await import("./registry.ts");
    return openHttps(locator, context);
  },
};
