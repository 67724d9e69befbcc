import type { Clock } from "../core/clock.ts";
import type {
  Explanation,
  ListedVersion,
  OpenOptions,
  Registry,
  Resolution,
  ResolveOptions,
} from "../core/types.ts";
import type { HostServices, LocatorBase, RegistryDriver, RegistryTable } from "./driver.ts";
import {
  LIBRARY_TIMEOUT_MS,
  type Options,
  ownEntry,
  prepare,
  type RegistryOptions,
  type SchemeOptions,
  splitRegistryUrl,
  unsupported,
} from "./load.ts";
import { singleFlight } from "./single_flight.ts";
import { withTimeout } from "./timeout.ts";

/** The options of an entry: those that all registries have, and those of its own scheme in `K`. */
export type EntryOptions<K extends keyof SchemeOptions = never> = HostServices &
  Omit<RegistryOptions, Exclude<keyof SchemeOptions, K>>;

/** Which tags {@link EntryApi.latest} and {@link EntryApi.explain} look at. */
export type TagOptions = Pick<ResolveOptions, "exclude" | "tag">;

/** Which tag {@link EntryApi.latest} looks at, and the version that the caller has. */
export type LatestOptions = TagOptions & Pick<ResolveOptions, "since">;

/** The functions of the entries with one registry: `dewy/github`, `dewy/s3`, … */
export interface EntryApi<L extends LocatorBase, K extends keyof SchemeOptions = never> {
  /** Resolves the newest version. "Pending" and "none" are values. */
  latest: (url: string, options?: EntryOptions<K> & LatestOptions) => Promise<Resolution>;
  /** Lists the versions that the options allow, newest first. */
  versions: (
    url: string,
    options?: EntryOptions<K> & Pick<ResolveOptions, "exclude">,
  ) => AsyncIterable<ListedVersion>;
  /** Explains every candidate: chosen, or the reason why not. */
  explain: (url: string, options?: EntryOptions<K> & TagOptions) => Promise<Explanation>;
  /** Opens a registry that you ask repeatedly. No request is sent until you call one of its methods. */
  openRegistry: (url: string, options?: EntryOptions<K>) => Registry;
  /** Streams the bytes behind an artifact URL of this registry, or an `https://` URL. */
  openArtifact: (
    url: string,
    options?: EntryOptions<K> & OpenOptions,
  ) => Promise<ReadableStream<Uint8Array>>;
  /** Parses a registry URL. No request is sent. */
  parseRegistryUrl: (url: string) => L;
}

/** Makes a function of an entry out of one below, with the registries of the entry as the default. */
export function bind<O, R>(
  registries: RegistryTable,
  call: (url: string, options: O & Options) => R,
): (url: string, options?: O) => R {
  return (url, options) => call(url, withTable(registries, options ?? ({} as O)));
}

function withTable<O>(registries: RegistryTable, options: O): O & Options {
  return { ...options, registries: (options as Partial<Options>).registries ?? registries };
}

export function bindParser<L extends LocatorBase>(registries: RegistryTable): (url: string) => L {
  return (url) => parseUrl(url, registries) as L;
}

export function parseUrl(
  url: string,
  table: RegistryTable,
  extra: readonly string[] = [],
): LocatorBase {
  const split = splitRegistryUrl(url, table);
  const driver = ownEntry(table, split.scheme);
  if (driver === undefined) throw unsupported(split, table, extra);
  return driver.parse(split);
}

export function openRegistry(url: string, options: Options): Registry {
  const { timeoutMs = LIBRARY_TIMEOUT_MS } = options;
  const { driver, locator, context } = prepare(url, { ...options, timeoutMs });
  let opened: Promise<Registry> | undefined;
  const open = (): Promise<Registry> => {
    opened ??= Promise.resolve(driver.open(locator, context));
    return opened;
  };
  const registry = lazyRegistry(driver, open, { clock: context.clock, timeoutMs });
  return withTimeout(registry, timeoutMs, context.clock);
}

type Method = (...args: unknown[]) => unknown;

/** A registry that is opened at the first call of one of its methods. */
function lazyRegistry(
  driver: RegistryDriver,
  opened: () => Promise<Registry>,
  limit: { clock: Clock; timeoutMs: number },
): Registry {
  const methods = driver.features.filter((feature) => feature !== "anyPlatform");
  const optional = methods.map((name): [string, Method] => [
    name,
    async (...args) =>
      ((await opened()) as unknown as Readonly<Record<string, Method>>)[name]?.(...args),
  ]);
  return {
    anyPlatform: driver.features.includes("anyPlatform"),
    resolve: async (options) => (await opened()).resolve(options),
    open: async (artifact, options) => (await opened()).open(artifact, options),
    async *versions(options = {}) {
      const [registry, { versionsOf }] = await Promise.all([opened(), import("./versions.ts")]);
      yield* versionsOf(registry, options, limit);
    },
    ...Object.fromEntries(optional),
  };
}

/**
 * Errors in the URL reject as well, so that there is one way to handle them. Callers that ask the same thing at the same
 * time share one question.
 */
export async function latest(url: string, options: Options & LatestOptions): Promise<Resolution> {
  const exclude = options.exclude && [...options.exclude];
  return singleFlight(url, { ...options, exclude }, async (asked) =>
    openRegistry(url, asked).resolve({ exclude, tag: asked.tag, since: asked.since, once: true }),
  );
}

export async function* versions(
  url: string,
  options: Options & Pick<ResolveOptions, "exclude">,
): AsyncGenerator<ListedVersion> {
  const { exclude } = options;
  yield* openRegistry(url, options).versions?.({ exclude }) ?? [];
}

export async function explain(url: string, options: Options & TagOptions): Promise<Explanation> {
  const { exclude, tag } = options;
  return explainRegistry(openRegistry(url, options), { exclude, tag });
}

export async function explainRegistry(
  registry: Registry,
  options: ResolveOptions = {},
): Promise<Explanation> {
  const { explanation, ...resolution } = await registry.resolve({ ...options, explain: true });
  if (explanation === undefined) throw new TypeError("the registry explains nothing");
  return { ...explanation, resolution };
}
