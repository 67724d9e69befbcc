import { IntegrityError, NotFoundError, type OpenOptions, type Registry } from "../../mod.ts";
import {
  FILE_OPTIONS,
  type LocatorBase,
  listRegistry,
  type RegistryContext,
  type RegistryDriver,
  type ReleaseSource,
  readRegistryQuery,
  type SplitUrl,
} from "../../src/registries/spi.ts";

/** A release as a test puts it on a shelf. */
export interface ShelvedRelease {
  createdAt: Date;
  files: Map<string, string>;
}

/** The shelves of this process, by name; each has releases by tag. */
export const shelves = new Map<string, Map<string, ShelvedRelease>>();

interface ShelfLocator extends LocatorBase {
  type: "shelf";
  shelf: string;
  aisle: string;
}

const OPTIONS = [
  ...FILE_OPTIONS,
  { name: "aisle", type: "string", description: "The aisle in which the shelf stands" },
] as const;

/** A made-up registry: everything dewy knows of it is in this file. */
export const shelf: RegistryDriver<ShelfLocator> = {
  scheme: "shelf",
  name: "Shelf",
  syntax: "shelf://<shelf>",
  example: "shelf://cellar?aisle=3",
  commands: ["server", "assets"],
  options: OPTIONS,
  requestKeys: ["drawer"],
  environment: [
    // Nothing in the name tells that it is a secret.
    { name: "SHELF_WORD", description: "The word that opens the shelf", secret: true },
    { name: "SHELF_LAMP", description: "Whether the lamp is on", secret: false },
  ],
  credentialPrefixes: ["SHELVES_"],
  features: ["anyPlatform", "exists", "report"],
  artifact: {
    isRemote: true,
    parse: (url) => ({ name: partsOf(url).name }),
    open: async (url, _, options) => openFile(url, options),
  },
  parse(url) {
    const { common, query } = readRegistryQuery("shelf", url, OPTIONS);
    return { ...common, shelf: decodeURIComponent(url.host), aisle: query.text("aisle") };
  },
  open: openShelf,
};

function openShelf(locator: ShelfLocator, io: RegistryContext): Registry {
  const releases = (): Map<string, ShelvedRelease> => shelves.get(locator.shelf) ?? new Map();
  const source: ReleaseSource = {
    async *tags() {
      io.emit({
        type: "request",
        method: "GET",
        url: `https://shelves.example/${locator.shelf}?drawer=7&word=${io.env.SHELF_WORD}`,
        status: 200,
        durationMs: 0,
        attempt: 1,
      });
      const fields = { shelf: locator.shelf };
      io.emit({ type: "driver", scheme: "shelf", message: "Shelf dusted", fields, notify: true });
      for (const tag of releases().keys()) yield { tag };
    },
    async release(tag) {
      const found = releases().get(tag);
      if (found === undefined) return undefined;
      const files = [...found.files].map(([name, bytes]) => ({
        name,
        url: `shelf://${encodeURIComponent(locator.shelf)}/${encodeURIComponent(tag)}/${encodeURIComponent(name)}?aisle=${locator.aisle}`,
        size: bytes.length,
        revision: bytes,
      }));
      return { id: tag, createdAt: found.createdAt, files };
    },
  };
  return listRegistry({
    locator,
    io,
    source,
    async open(artifact, options = {}) {
      const [scheme = "", rest = ""] = artifact.url.split("://");
      const [address = "", query = ""] = rest.split("?");
      const [host = ""] = address.split("/", 1);
      const url = { text: artifact.url, scheme, host, path: address.slice(host.length) };
      const validator = options.validator ?? artifact.revision;
      return openFile({ ...url, query: new Map([["aisle", query]]) }, { ...options, validator });
    },
    exists: async (tag) => releases().has(tag),
    report: async () => {},
  });
}

function partsOf(url: SplitUrl): { shelf: string; tag: string; name: string } {
  const [shelfName = "", tag = "", name = ""] = `${url.host}${url.path}`
    .split("/")
    .map(decodeURIComponent);
  return { shelf: shelfName, tag, name };
}

function openFile(url: SplitUrl, options: OpenOptions = {}): ReadableStream<Uint8Array> {
  options.signal?.throwIfAborted();
  const { shelf: shelfName, tag, name } = partsOf(url);
  const bytes = shelves.get(shelfName)?.get(tag)?.files.get(name);
  if (bytes === undefined) throw new NotFoundError(`Cannot open ${name}: it is not on the shelf`);
  const { offset = 0, validator = bytes } = options;
  if (validator !== bytes || offset > bytes.length) {
    throw new IntegrityError(`Cannot open ${name}: it was replaced`);
  }
  options.onValidator?.(bytes);
  return new Blob([bytes.slice(offset)]).stream();
}
