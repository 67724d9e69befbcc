import { joinSignals } from "../../core/timeout.ts";
import { FILE_OPTIONS, lastPart, type RegistryDriver } from "../driver.ts";
import {
  FILE_SYNTAX,
  type FileLocator,
  parseFileArtifactUrl,
  parseFileUrl,
} from "../file_locator.ts";

/** Releases in a local or mounted directory, `<directory>/<tag>/<artifact>`. */
export const file: RegistryDriver<FileLocator> = {
  scheme: "file",
  name: "Directory",
  syntax: FILE_SYNTAX,
  example: "file:///srv/releases/myapp",
  commands: ["server", "assets"],
  options: FILE_OPTIONS,
  environment: [],
  parse: parseFileUrl,
  features: ["anyPlatform", "exists", "report", "digest"],
  artifact: {
    isRemote: false,
    parse: (url) => ({ name: lastPart(parseFileArtifactUrl(url)) }),
    async open(url, { signal }, options = {}) {
      const { openFile } = await import("./stream.ts");
      return openFile(parseFileArtifactUrl(url), {
        ...options,
        signal: joinSignals(options.signal, signal),
      });
    },
  },
  async open(locator, context) {
    const { openFileRegistry } = await import("./registry.ts");
    return openFileRegistry(locator, context);
  },
};
