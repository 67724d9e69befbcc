// The objects of a fleet in the cache, and how they are changed.
import * as v from "valibot";
import type { CacheStore, WriteCondition } from "../cache/types.ts";
import type { Clock } from "../core/clock.ts";
import { IntegrityError, RemoteError } from "../core/error.ts";
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
  memberTtlMs: v.optional(v.number()),
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
  graceUntil: v.optional(v.number()),
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
  /** For the condition of the next write. Absent if the record is too large to be read. */
  version: string | undefined;
  ageMs: number | undefined;
}

export type FoundRollout = Found<Rollout>;

export async function readRollout(
  { store, fleet }: FleetStore,
  signal?: AbortSignal,
): Promise<FoundRollout | undefined> {
  return read(
    store,
    { key: rolloutKey(fleet), schema: rolloutSchema, max: MAX_ROLLOUT_BYTES },
    signal,
  );
}

export async function readMember(
  { store, fleet }: FleetStore,
  host: string,
  signal?: AbortSignal,
): Promise<Found<Member> | undefined> {
  return read(
    store,
    { key: memberKey(fleet, host), schema: memberSchema, max: MAX_MEMBER_BYTES },
    signal,
  );
}

async function read<T>(
  store: CacheStore,
  { key, schema, max }: { key: string; schema: v.GenericSchema<unknown, T>; max: number },
  signal: AbortSignal | undefined,
): Promise<Found<T> | undefined> {
  try {
    const entry = await store.read(key, max, signal);
    return entry && { ...entry, ageMs: entry.ageMs, record: parse(schema, entry.body) };
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    return { record: undefined, version: undefined, ageMs: undefined };
  }
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

/** The condition that nobody has changed a record since it was read. */
export function unchangedSince(found: Found<unknown> | undefined): WriteCondition | undefined {
  if (found === undefined) return "absent";
  return found.version === undefined ? undefined : { version: found.version };
}

/** Writes the record if the condition holds. Returns its new version; `undefined` if it does not hold. */
export async function writeRecord(
  store: CacheStore,
  key: string,
  record: Rollout | Member,
  condition: WriteCondition | undefined,
  signal?: AbortSignal,
): Promise<string | undefined> {
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

const OPERATOR = "dewy ";

/** The writer of what an operator does by `dewy fleet`, which no host name can be. */
export function operatorWriter(command: string, user: string): string {
  return `${OPERATOR}${command} of ${user}`;
}

/** Whether nobody has changed the rollout since an operator did. */
export function isFromOperator({ writer }: Rollout): boolean {
  return writer.startsWith(OPERATOR);
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
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    try {
      const swap = await trySwap(at, change, { writer, replaces, signal });
      if (swap !== "conflict") return swap;
    } catch (error) {
      // The write may have happened: the next attempt reads what is so.
      if (!(error instanceof RemoteError) || attempt === MAX_ATTEMPTS) throw error;
    }
    await clock.sleep(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + random() / 2), signal);
  }
  return undefined;
}

async function trySwap(
  at: FleetStore,
  change: (current: Rollout | undefined) => Rollout | undefined,
  { writer, replaces, signal }: Pick<SwapOptions, "writer" | "replaces" | "signal">,
): Promise<Swap | "conflict" | undefined> {
  const read = await readRollout(at, signal);
  const before = replaces ? read?.record : rolloutOf(read, at);
  const changed = change(before);
  if (changed === undefined || changed === before) return undefined;
  const after = { ...changed, revision: (before?.revision ?? 0) + 1, writer };
  const condition = unchangedSince(read);
  const version = await writeRecord(at.store, rolloutKey(at.fleet), after, condition, signal);
  return version === undefined ? "conflict" : { before, after, version };
}

export interface Listing {
  /** The members by host, and for how long each is silent. */
  silentMs: ReadonlyMap<string, number>;
  /** The time of the store: that of its newest object here. */
  now: number;
}

/** No clock but the store's counts: a host is as silent as its record is older than the newest object. */
export async function listSilence(
  { store, fleet }: FleetStore,
  signal?: AbortSignal,
): Promise<Listing> {
  const prefix = prefixOf(fleet);
  const writtenAt = new Map<string, number>();
  let now = 0;
  for await (const { key, modifiedAt } of store.list(prefix, signal)) {
    now = Math.max(now, modifiedAt);
    const [, name] = /^members\/([^/]+)\.json$/.exec(key.slice(prefix.length)) ?? [];
    if (name !== undefined) writtenAt.set(decodeName(name), modifiedAt);
  }
  const silentMs = new Map([...writtenAt].map(([host, at]) => [host, now - at]));
  return { silentMs, now };
}

/** The members by host, and whether each is alive. */
export async function listMembers(
  at: FleetStore,
  ttlMs: number,
  signal?: AbortSignal,
): Promise<Map<string, { isAlive: boolean; silentMs: number }>> {
  const { silentMs: members } = await listSilence(at, signal);
  return new Map(
    [...members].map(([host, silentMs]) => [host, { isAlive: silentMs <= ttlMs, silentMs }]),
  );
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
