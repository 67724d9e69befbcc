// The objects of a fleet in the cache, and how they are changed.
import * as v from "valibot";
import type { CacheEntry, CacheStore } from "../cache/types.ts";
import type { Clock } from "../core/clock.ts";
import { IntegrityError } from "../core/error.ts";
import type { Member, Rollout } from "./types.ts";

const MAX_ROLLOUT_BYTES = 4 << 20;
const MAX_MEMBER_BYTES = 16 << 10;

const phase = v.picklist([
  "waiting",
  "held",
  "deploying",
  "baking",
  "done",
  "failed",
  "rolled-back",
]);

const memberSchema = v.object({
  revision: v.number(),
  host: v.string(),
  instance: v.string(),
  tag: v.optional(v.string()),
  task: v.optional(v.object({ tag: v.string(), phase, reason: v.optional(v.string()) })),
});

const waveSchema = v.union([v.object({ hosts: v.number() }), v.object({ percent: v.number() })]);
const hosts = v.array(v.string());

const rolloutSchema = v.object({
  revision: v.number(),
  writer: v.string(),
  registry: v.string(),
  tag: v.string(),
  waves: v.array(waveSchema),
  maxFailures: v.number(),
  hosts,
  wave: v.number(),
  state: v.picklist(["running", "halted", "aborted", "done"]),
  passed: hosts,
  started: hosts,
  failed: v.array(v.object({ host: v.string(), reason: v.string() })),
  lost: hosts,
  forgiven: hosts,
  reason: v.optional(v.string()),
  previous: v.optional(v.string()),
  next: v.optional(v.string()),
});

/** Where the records of a fleet are. */
export interface FleetStore {
  store: CacheStore;
  fleet: string;
}

export function rolloutKey(fleet: string): string {
  return `${prefixOf(fleet)}rollout.json`;
}

export function memberKey(fleet: string, host: string): string {
  return `${prefixOf(fleet)}members/${encodeURIComponent(host)}.json`;
}

function prefixOf(fleet: string): string {
  return `fleet/${encodeURIComponent(fleet)}/`;
}

/** A record as it was read. */
export interface Found<T> {
  /** Absent if it is unreadable. */
  record: T | undefined;
  /** For the condition of the next write. */
  version: string;
  ageMs: number | undefined;
}

export type FoundRollout = Found<Rollout>;

export async function readRollout(
  { store, fleet }: FleetStore,
  signal?: AbortSignal,
): Promise<FoundRollout | undefined> {
  const entry = await store.read(rolloutKey(fleet), MAX_ROLLOUT_BYTES, signal);
  return entry && found(rolloutSchema, entry);
}

export async function readMember(
  { store, fleet }: FleetStore,
  host: string,
  signal?: AbortSignal,
): Promise<Found<Member> | undefined> {
  const entry = await store.read(memberKey(fleet, host), MAX_MEMBER_BYTES, signal);
  return entry && found(memberSchema, entry);
}

function found<T>(schema: v.GenericSchema<unknown, T>, entry: CacheEntry): Found<T> {
  const record = parse(schema, entry.body);
  return { record, version: entry.version, ageMs: entry.ageMs };
}

function parse<T>(
  schema: v.GenericSchema<unknown, T>,
  body: Uint8Array<ArrayBuffer>,
): T | undefined {
  try {
    return v.parse(schema, JSON.parse(new TextDecoder().decode(body)));
  } catch {
    return undefined;
  }
}

/** The rollout that was read. Throws an IntegrityError if the record is unreadable. */
export function rolloutOf(
  read: FoundRollout | undefined,
  { store, fleet }: FleetStore,
): Rollout | undefined {
  if (read === undefined || read.record !== undefined) return read?.record;
  throw new IntegrityError(
    `Cannot read ${rolloutKey(fleet)} in ${store.name}: it is not a rollout; dewy fleet abort replaces it`,
  );
}

/** Writes the record if it is still of this version. Returns its new version; `undefined` if it has changed. */
export async function writeRecord(
  store: CacheStore,
  key: string,
  record: Rollout | Member,
  version: string | undefined,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const condition = version === undefined ? ("absent" as const) : { version };
  const text = JSON.stringify(record);
  try {
    return await store.write(key, text, { condition, contentType: "application/json", signal });
  } catch (error) {
    // The write may have happened. Every record names its writer and its revision, so that equal bytes are its own.
    const now = await store.read(key, MAX_ROLLOUT_BYTES, signal).catch(() => undefined);
    if (now !== undefined && new TextDecoder().decode(now.body) === text) return now.version;
    throw error;
  }
}

export interface Swap {
  before: Rollout | undefined;
  after: Rollout;
  /** For the condition of the next write. */
  version: string;
}

interface SwapOptions {
  writer: string;
  clock: Clock;
  random(): number;
  signal?: AbortSignal | undefined;
  /** Whether an unreadable record is replaced. */
  replaces?: boolean;
}

const MAX_ATTEMPTS = 6;
const FIRST_PAUSE_MS = 100;

/**
 * Changes the rollout by compare-and-swap; `change` returns the same value, or `undefined`, to leave it. Returns
 * `undefined` if it was left, or if others kept changing it: decide again at the next poll.
 */
export async function swapRollout(
  at: FleetStore,
  change: (current: Rollout | undefined) => Rollout | undefined,
  { writer, clock, random, signal, replaces }: SwapOptions,
): Promise<Swap | undefined> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (attempt > 0) {
      await clock.sleep(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + random() / 2), signal);
    }
    const read = await readRollout(at, signal);
    const before = replaces ? read?.record : rolloutOf(read, at);
    const changed = change(before);
    if (changed === undefined || changed === before) return undefined;
    const after = { ...changed, revision: (before?.revision ?? 0) + 1, writer };
    const version = await writeRecord(at.store, rolloutKey(at.fleet), after, read?.version, signal);
    if (version !== undefined) return { before, after, version };
  }
  return undefined;
}

/** The members by host, and whether each is alive: no clock but the store's counts. */
export async function listMembers(
  { store, fleet }: FleetStore,
  ttlMs: number,
  signal?: AbortSignal,
): Promise<Map<string, { isAlive: boolean; silentMs: number }>> {
  const prefix = prefixOf(fleet);
  const seen = new Map<string, number>();
  let newest = 0;
  for await (const { key, modifiedAt } of store.list(prefix, signal)) {
    newest = Math.max(newest, modifiedAt);
    const [, name] = /^members\/([^/]+)\.json$/.exec(key.slice(prefix.length)) ?? [];
    if (name !== undefined) seen.set(decodeName(name), modifiedAt);
  }
  const entries = [...seen].map(([host, modifiedAt]) => {
    const silentMs = newest - modifiedAt;
    return [host, { isAlive: silentMs <= ttlMs, silentMs }] as const;
  });
  return new Map(entries);
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
