import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { AdminSource } from "../../src/admin/routes.ts";
import type { InstanceStatus } from "../../src/control/protocol.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { EventSink } from "../../src/core/event.ts";
import { Secrets } from "../../src/host/files/secret_file.ts";
import { fakeClock } from "../fakes/clock.ts";

export const TOKEN = "a-token-of-the-admin-api";
const AT = "2026-01-01T10:00:00.000Z";

export function instanceStatus(more: Partial<InstanceStatus> = {}): InstanceStatus {
  return {
    name: "shop",
    mode: "server",
    directory: "/opt/shop",
    live: { tag: "v1.2.0", directory: "/opt/shop/releases/1", since: AT },
    phase: { name: "idle" },
    app: { health: "serving" },
    waiting: [],
    bad: [],
    skipped: [],
    ...more,
  };
}

/** A status with an operator's message and the app's output wherever they can be. */
export const TALKATIVE: InstanceStatus = instanceStatus({
  lastPoll: { at: AT, outcome: "failed", error: "v2 failed; it wrote: secret line | another" },
  polls: [{ at: AT, outcome: "failed", error: "v2 failed; it wrote: secret line\nanother" }],
  bad: [{ tag: "v2", reason: "it exited with exit code 3; it wrote: secret line", at: AT }],
  skipped: [{ tag: "v2", user: "alice", message: "a secret message", at: AT }],
  pinned: { tag: "v1.2.0", user: "alice", message: "a secret message", at: AT },
  paused: { user: "alice", message: "a secret message", at: AT },
  order: { kind: "restart", user: "alice", message: "a secret message", at: AT },
});

/** What an admin server could show, with the sinks that subscribe to it. */
export function adminSource(more: Partial<AdminSource> = {}) {
  const sinks = new Set<EventSink>();
  const source: AdminSource = {
    mode: "server",
    root: join("/nonexistent", "root"),
    status: async () => instanceStatus(),
    ownLines: () => ["dewy wrote this"],
    subscribe: (sink) => {
      sinks.add(sink);
      return () => void sinks.delete(sink);
    },
    redact: (text) => text.replaceAll("hunter2", "…"),
    clock: fakeClock() as Clock,
    ...more,
  };
  return { source, sinks };
}

export const tokens = { current: async () => new Secrets([TOKEN]) };

/** A signal that is aborted when the test ends. */
export function untilEnd(): AbortSignal {
  const end = new AbortController();
  onTestFinished(() => end.abort());
  return end.signal;
}
