import type { Clock } from "../core/clock.ts";
import { bytesToHex, sha256 } from "../core/encoding.ts";
import { withTimeout } from "../core/timeout.ts";

/**
 * A place for responses of registries that outlives a call or an isolate, so that the next request can be conditional.
 * Values are text of at most a million characters and no secrets. A cache that fails or hangs never fails a call.
 *
 * @example
 * ```ts
 * import { latest } from "dewy";
 * import type { ResponseCache } from "dewy/cache";
 *
 * const kept = new Map<string, string>();
 * const cache: ResponseCache = {
 *   get: async (key) => kept.get(key),
 *   put: async (key, value) => void kept.set(key, value),
 * };
 * const fetch = async () => Response.json([]);
 * const answer = await latest("ghr://linyows/myapp", { platform: { os: "linux", arch: "amd64" }, env: {}, fetch, cache });
 * if (answer.kind !== "none") throw new Error(answer.kind);
 * ```
 */
export interface ResponseCache {
  /** Returns what was put under the key, unchanged; `undefined` if there is nothing. */
  get(key: string): Promise<string | undefined>;
  /** Stores a value. It may be dropped at any time, and should be after `ttlMs` milliseconds. */
  put(key: string, value: string, options?: { ttlMs?: number }): Promise<void>;
}

interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

interface Question {
  url: string | URL;
  headers?: Readonly<Record<string, string>>;
  accept?: readonly number[];
}

/** The format, and the headers in JSON; the body follows. */
const START = /^dewy 1\n([^\n]{1,8192})\n/;
const KEPT_HEADERS = ["etag", "link", "content-type"];
const MAX_CHARACTERS = 1_000_000;
const CACHE_TIMEOUT_MS = 2_000;
/** Renewed only when the response changes, so that an unchanged one costs no write. */
const TTL_MS = 7 * 24 * 3_600_000;

/** Sends a GET as a conditional request if its response is in the cache, and stores a response that has an ETag. */
export async function askThroughCache<Q extends Question>(
  cache: ResponseCache,
  clock: Clock,
  request: Q,
  send: (request: Q) => Promise<Answer>,
): Promise<Answer> {
  const { headers = {} } = request;
  const key = await keyOf(request);
  const kept = headers["if-none-match"] === undefined ? await read(cache, clock, key) : undefined;
  if (kept === undefined) return store(cache, clock, key, await send(request));
  const conditional = {
    ...request,
    headers: { ...headers, "if-none-match": kept.headers.etag ?? "" },
    accept: [...(request.accept ?? []), 304],
  };
  const answer = await send(conditional);
  if (answer.status !== 304) return store(cache, clock, key, answer);
  const merged = new Headers(answer.headers);
  for (const [name, value] of Object.entries(kept.headers)) merged.set(name, value);
  return { status: 200, headers: merged, text: kept.text };
}

/** The credential decides what a server shows, so it is part of the key, but only as part of a hash. */
async function keyOf({ url, headers = {} }: Question): Promise<string> {
  const parts = [String(url), headers.accept ?? "", headers.authorization ?? ""];
  return `dewy-${bytesToHex(await sha256(JSON.stringify(parts)))}`;
}

interface Kept {
  headers: Readonly<Record<string, string>>;
  text: string;
}

async function read(cache: ResponseCache, clock: Clock, key: string): Promise<Kept | undefined> {
  const value = await settled(clock, () => cache.get(key));
  if (typeof value !== "string" || value.length > 2 * MAX_CHARACTERS) return undefined;
  const start = START.exec(value);
  if (start === null) return undefined;
  try {
    const headers = Object.fromEntries(new Headers(JSON.parse(start[1] ?? "")));
    return headers.etag === undefined ? undefined : { headers, text: value.slice(start[0].length) };
  } catch {
    return undefined;
  }
}

async function store(
  cache: ResponseCache,
  clock: Clock,
  key: string,
  answer: Answer,
): Promise<Answer> {
  const { status, headers, text } = answer;
  const isStorable = !/\bno-store\b/i.test(headers.get("cache-control") ?? "");
  if (status !== 200 || !headers.has("etag") || !isStorable) return answer;
  const kept = KEPT_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  const value = `dewy 1\n${JSON.stringify(Object.fromEntries(kept))}\n${text}`;
  if (value.length <= MAX_CHARACTERS) {
    await settled(clock, () => cache.put(key, value, { ttlMs: TTL_MS }));
  }
  return answer;
}

/** A cache saves requests; without it, they are sent. */
async function settled<T>(clock: Clock, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await withTimeout(work(), { clock, ms: CACHE_TIMEOUT_MS, what: "answer of the cache" });
  } catch {
    return undefined;
  }
}
