import { exclusive } from "../core/concurrency.ts";
import type { EventSink } from "../core/event.ts";
import { type FleetStore, memberKey, readMember, writeRecord } from "./records.ts";
import type { Member, MemberTask } from "./types.ts";

interface OwnRecordOptions extends FleetStore {
  host: string;
  instance: string;
  emit: EventSink;
}

/** The record of this host. */
export class OwnRecord {
  readonly #options: OwnRecordOptions;
  readonly #exclusively = exclusive();
  #member: Member | undefined;
  #version: string | undefined;
  #warned = false;

  constructor(options: OwnRecordOptions) {
    this.#options = options;
  }

  get task(): MemberTask | undefined {
    return this.#member?.task;
  }

  /** What runs here, as it was reported last. */
  get tag(): string | undefined {
    return this.#member?.tag;
  }

  /** Reads what this host has reported before its last start, once. */
  begin(signal: AbortSignal): Promise<void> {
    return this.#exclusively(() => this.#begin(signal));
  }

  async #begin(signal: AbortSignal): Promise<void> {
    if (this.#member !== undefined) return;
    const { host, instance } = this.#options;
    const found = await readMember(this.#options, host, signal);
    this.#version = found?.version;
    const { revision = 0, task, tag } = found?.record ?? {};
    this.#member = { revision, host, instance, tag, task: task && resumed(task, tag) };
  }

  /** Changes the task; the next report writes it. */
  set(task: MemberTask): void {
    if (this.#member !== undefined) this.#member = { ...this.#member, task };
  }

  /** Writes the record, which also shows that this host is alive. */
  report(
    task: MemberTask | undefined,
    tag: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (task !== undefined) this.set(task);
    return this.#exclusively(() => this.#report(tag, signal));
  }

  async #report(tag: string | undefined, signal: AbortSignal): Promise<void> {
    if (this.#member === undefined) return;
    const next = { ...this.#member, tag, revision: this.#member.revision + 1 };
    this.#member = next;
    const { store, fleet, host } = this.#options;
    const key = memberKey(fleet, host);
    const version = await writeRecord(store, key, next, this.#version, signal);
    if (version !== undefined) {
      this.#version = version;
      return;
    }
    await this.#takeOver(signal);
  }

  /** Another process has written this host's record since. */
  async #takeOver(signal: AbortSignal): Promise<void> {
    const { store, fleet, host, instance, emit } = this.#options;
    const found = await readMember(this.#options, host, signal);
    const isOther = found?.record !== undefined && found.record.instance !== instance;
    if (isOther && !this.#warned) {
      this.#warned = true;
      const message = "Another dewy reports to the fleet under this host's name";
      const hint = "give each host a name of its own by --fleet-host";
      emit({ type: "warning", important: true, message, fields: { fleet, host, hint } });
    }
    const current = this.#member;
    if (current === undefined) return;
    const revision = Math.max(current.revision, found?.record?.revision ?? 0) + 1;
    this.#member = { ...current, revision };
    const key = memberKey(fleet, host);
    this.#version = await writeRecord(store, key, this.#member, found?.version, signal);
    this.#version ??= (await readMember(this.#options, host, signal))?.version;
  }
}

/** A deploy that was under way when dewy ended is watched again if its version runs. */
function resumed(task: MemberTask, tag: string | undefined): MemberTask {
  return task.phase === "deploying" && tag === task.tag ? { ...task, phase: "baking" } : task;
}
