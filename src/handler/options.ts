import type { RegistryOptions } from "../registries/load.ts";

/** What a handler passes to `onReport`. */
export interface HandlerReport {
  /** The name of the registry in {@link HandlerOptions.registries}; empty if the handler has only one and none was named. */
  registry: string;
  /** The URL of the registry. */
  url: string;
  /** The identifier of the release, as `/latest` stated it. */
  id: string;
  /** The tag. */
  tag: string;
  /** `server`, `assets` or `container`. */
  command: string;
  /** The name of the host, as it states it. */
  host: string;
  /** When the version was deployed. */
  at: Date;
  /** Why the deploy failed; absent after a success. */
  error?: string | undefined;
}

/** Options of {@link createHandler}. Those of {@link RegistryOptions} apply to all registries. */
export interface HandlerOptions extends Omit<RegistryOptions, "registries" | "signal"> {
  /**
   * The registries that may be asked for: URLs by name, or a function that returns the URL of a name, and `undefined` for
   * an unknown one. A client can use no other, so the handler is not an open proxy. The name that the function gets comes
   * from the client: look it up, and do not put it into a URL.
   */
  registries:
    | Readonly<Record<string, string>>
    | ((name: string) => string | undefined | Promise<string | undefined>);
  /** The table of drivers; in {@link RegistryOptions} it is called `registries`. Defaults to all that need no host. */
  drivers?: RegistryOptions["registries"];
  /** The path below which the handler is mounted, if the platform does not remove it: `/api/versions`. Defaults to none. */
  basePath?: string;
  /** How long an answer is fresh, in memory and in caches, in seconds. Defaults to 60. */
  maxAgeSeconds?: number;
  /** How long an older answer may be served while a new one is fetched, or while the registry fails. Defaults to 600. */
  staleSeconds?: number;
  /**
   * Whether `/download` redirects to an address that any client may open, where the registry has one. Otherwise, and with
   * `false`, the handler streams the bytes. Defaults to true.
   */
  redirect?: boolean;
  /** Whether `/explain` is served. Defaults to true. */
  explain?: boolean;
  /** The value of `Access-Control-Allow-Origin`, or `false` for no CORS. Defaults to `*`. */
  cors?: string | false;
  /** A bearer token that every request needs. Defaults to none: everyone may read. */
  readToken?: string | undefined;
  /** A bearer token that `POST /report` needs. Reports are accepted only with this and `onReport`. */
  reportToken?: string | undefined;
  /** Receives the reports of deploys. A host that gets no answer sends its report again, so one can arrive twice. */
  onReport?: (report: HandlerReport) => void | Promise<void>;
  /** Receives what `registries` or `onReport` threw, other than a `DewyError`. Defaults to `console.error`. */
  onError?: (error: unknown) => void;
  /**
   * Keeps the runtime alive for work that outlasts the response, as `waitUntil` of Cloudflare Workers and Vercel does. With
   * it, an old answer is served at once while a new one is fetched. Defaults to none: the request waits for the new answer.
   */
  waitUntil?: (work: Promise<unknown>) => void;
}
