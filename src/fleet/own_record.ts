import type { Clock } from "../core/clock.ts";
import { exclusive } from "../core/concurrency.ts";
import type { EventSink } from "../core/event.ts";
import { shorten } from "../core/text.ts";
import { type FleetStore, memberKey, readMember, unchangedSince, writeRecord } from "./records.ts";
import type { Member, MemberTask } from "./types.ts";

interface OwnRecordOptions extends FleetStore {
  host: string;
  instance: string;
  memberTtlMs: number;
  clock: Clock;
  emit: EventSink;
}

const MAX_REASON = 300;

/** The record of this host: what others know of it, and whether they take it to be alive. */
export class OwnRecord {
  readonly #options: OwnRecordOptions;
  readonly #random: () => number;
  readonly #exclusively = exclusive();
  #member: Member | undefined;
  /** As it is in the store; unknown after trouble. */
  #version: string | undefined;
  #isWritten = false;
  #dueAt = 0;
  #hasWarned = false;
  /** Whether the task is still that of the process before this one. */
  isResumed = true;

  constructor(options: OwnRecordOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  get task(): MemberTask | undefined {
    return this.#member?.task;
  }

  /** What runs here, as it was reported last. */
  get tag(): string | undefined {
    return this.#member?.tag;
  }

  get dueInMs(): number {
    return this.#isWritten ? Math.max(0, this.#dueAt - this.#options.clock.monotonic()) : 0;
  }

  /** Reads what this host has reported before its last start, once. An unreadable record is overwritten. */
  begin(signal: AbortSignal): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#member !== undefined) return;
      const { host, instance } = this.#options;
      const found = await readMember(this.#options, host, signal);
      const { revision = 0, task, tag } = found?.record ?? {};
      this.#version = found?.version;
      this.#member = { revision, host, instance, tag, task };
    });
  }

  /** Changes the task; the next report writes it. Returns whether it is another one. */
  set(task: MemberTask): boolean {
    const member = this.#member;
    if (member === undefined) return false;
    this.isResumed = false;
    const reason = task.reason === undefined ? undefined : shorten(task.reason, MAX_REASON);
    const { tag, phase } = task;
    const old = member.task;
    if (old?.tag === tag && old.phase === phase && old.reason === reason) return false;
    this.#member = { ...member, task: { tag, phase, reason } };
    this.#isWritten = false;
    return true;
  }

  /** Writes the record if it has changed, or if others would soon take this host to be gone. */
  report(
    tag: string | undefined,
    signal: AbortSignal,
    { isForced = false }: { isForced?: boolean } = {},
  ): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#member === undefined) return;
      const hasChanged = this.#member.tag !== tag || !this.#isWritten;
      if (!isForced && !hasChanged && this.dueInMs > 0) return;
      this.#member = { ...this.#member, tag };
      await this.#write(signal);
    });
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { memberTtlMs, clock } = this.#options;
    this.#isWritten = false;
    const known = this.#version;
    this.#version = undefined;
    const written = known === undefined ? undefined : await this.#put(known, signal);
    const { task } = this.#member ?? {};
    this.#version = written ?? (await this.#overwrite(known, signal));
    this.#isWritten = task === this.#member?.task;
    this.#dueAt = clock.monotonic() + (memberTtlMs / 4) * (0.75 + this.#random() / 4);
  }

  async #put(version: string, signal: AbortSignal): Promise<string | undefined> {
    return this.#send({ version }, signal);
  }

  /** Another process may have written this host's record since. */
  async #overwrite(known: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    const found = await readMember(this.#options, this.#options.host, signal);
    if (known !== undefined && found?.record !== undefined) this.#compare(found.record);
    const revision = Math.max(this.#member?.revision ?? 0, found?.record?.revision ?? 0);
    if (this.#member !== undefined) this.#member = { ...this.#member, revision };
    return this.#send(unchangedSince(found), signal);
  }

  async #send(
    condition: Parameters<typeof writeRecord>[3],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (this.#member === undefined) return undefined;
    this.#member = { ...this.#member, revision: this.#member.revision + 1 };
    const { store, fleet, host } = this.#options;
    return writeRecord(store, memberKey(fleet, host), this.#member, condition, signal);
  }

  #compare(other: Member): void {
    const { fleet, host, instance, emit } = this.#options;
    if (other.instance === instance || this.#hasWarned) return;
    this.#hasWarned = true;
    const message = "Another dewy reports to the fleet under this host's name";
    const hint = "give each host a name of its own with --fleet-host";
    emit({ type: "warning", important: true, message, fields: { fleet, host, hint } });
  }
}
