import type { PageView } from "../../../src/admin/page/view.ts";
import type { InstanceStatus } from "../../../src/control/protocol.ts";
import type { JournalEntry } from "../../../src/journal/entry.ts";

export const NOW = Date.UTC(2026, 4, 1, 14, 2, 30);

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const isoAgo = (ms: number, now = NOW): string => new Date(now - ms).toISOString();

/** A small status in which everything is well. */
export function status(changes: Partial<InstanceStatus> = {}): InstanceStatus {
  return {
    name: "checkout",
    mode: "server",
    directory: "/opt/checkout",
    registry: "ghr://acme/checkout",
    process: { pid: 812, dewy: "0.1.0", since: isoAgo(12 * DAY) },
    live: { tag: "v1.4.2", directory: "/opt/checkout/releases/a", since: isoAgo(3 * HOUR) },
    phase: { name: "idle" },
    app: {
      health: "serving",
      generations: [
        { number: 41, pid: 30_412, tag: "v1.4.2", state: "serving", since: isoAgo(3 * HOUR) },
      ],
    },
    waiting: [],
    bad: [],
    skipped: [],
    ...changes,
  };
}

export function view(
  changes: Partial<InstanceStatus> = {},
  more: Partial<PageView> = {},
): PageView {
  return { status: status(changes), entries: [], isRestricted: false, now: NOW, ...more };
}

const REASON =
  "Cannot deploy v1.5.1: the app exited with exit code 1 during the bake, 41 s after it took over";

/** A page as an operator sees it on an ordinary afternoon: a version bakes, one is bad, one was rolled back. */
export function realisticView(now = NOW): PageView {
  const ago = (ms: number): string => isoAgo(ms, now);
  const polls = Array.from({ length: 30 }, (_, index) => ({
    at: ago((30 - index) * MINUTE - 21 * SECOND),
    ...(index === 11 || index === 12
      ? { outcome: "unreachable", error: "api.github.com: the connection timed out" }
      : { outcome: index > 27 ? "waiting" : "fine" }),
  }));
  return {
    now,
    isRestricted: false,
    host: "web-3.acme.example",
    status: {
      name: "checkout",
      mode: "server",
      directory: "/opt/checkout",
      registry: "ghr://acme/checkout?slot=blue",
      process: { pid: 812, dewy: "0.1.0", since: ago(12 * DAY) },
      live: { tag: "v1.5.2", directory: "/opt/checkout/releases/b", since: ago(48 * SECOND) },
      phase: { name: "bake", tag: "v1.5.2", since: ago(48 * SECOND) },
      app: {
        health: "serving",
        generations: [
          { number: 43, pid: 31_977, tag: "v1.5.2", state: "serving", since: ago(52 * SECOND) },
          { number: 41, pid: 30_412, tag: "v1.5.0", state: "standby", since: ago(3 * HOUR) },
        ],
      },
      polls,
      lastPoll: polls.at(-1),
      nextPollAt: ago(-39 * SECOND),
      rateLimits: [
        { host: "api.github.com", remaining: 4_871, limit: 5_000, resetAt: ago(-23 * MINUTE) },
      ],
      notifiers: [
        { notifier: "slack://deploys", state: "fine", waiting: 0, lost: 0 },
        { notifier: "mail://ops@acme.example", state: "fine", waiting: 0, lost: 0 },
      ],
      waiting: [
        {
          tag: "v2.0.0",
          why: "min-age",
          reason: "published 2026-05-01T12:40:11.000Z, --min-age is 24h0m0s",
          until: ago(-22 * HOUR),
        },
      ],
      bad: [{ tag: "v1.5.1", reason: REASON, at: ago(2 * HOUR) }],
      skipped: [
        { tag: "v1.4.9", user: "mia", message: "emails were sent twice", at: ago(27 * HOUR) },
      ],
    },
    entries: entries(ago),
    appLines: appLines(now),
    ownLines: ownLines(now),
  };
}

function entries(ago: (ms: number) => string): readonly JournalEntry[] {
  return [
    {
      at: ago(4 * DAY),
      event: "deployed",
      tag: "v1.4.7",
      previousTag: "v1.4.6",
      deploy: "a0",
      durationMs: 69_900,
      phases: {
        stage: 4_900,
        before: 700,
        activate: 40,
        verify: 3_200,
        bake: 60_000,
        commit: 12,
        after: 900,
      },
    },
    {
      at: ago(2 * DAY + 3 * HOUR),
      event: "deployed",
      tag: "v1.4.8",
      previousTag: "v1.4.7",
      deploy: "a1",
      durationMs: 68_200,
      phases: {
        stage: 3_100,
        before: 700,
        activate: 40,
        verify: 3_300,
        bake: 60_000,
        commit: 12,
        after: 900,
      },
    },
    {
      at: ago(29 * HOUR),
      event: "deployed",
      tag: "v1.4.9",
      previousTag: "v1.4.8",
      deploy: "a2",
      durationMs: 84_400,
      phases: {
        stage: 15_800,
        before: 900,
        activate: 50,
        verify: 6_800,
        bake: 60_000,
        commit: 10,
        after: 840,
      },
    },
    { at: ago(27 * HOUR), event: "ordered", command: "rollback", user: "mia" },
    {
      at: ago(27 * HOUR),
      event: "rolled-back",
      tag: "v1.4.9",
      to: "v1.4.8",
      reason: "asked for",
      user: "mia",
      message: "emails were sent twice",
      deploy: "a3",
      durationMs: 1_900,
      phases: { activate: 40, verify: 1_700, commit: 14 },
    },
    {
      at: ago(5 * HOUR),
      event: "app-exited",
      tag: "v1.4.8",
      exitCode: 137,
      retryInMs: 1_000,
      lastLines: ["out of memory"],
    },
    {
      at: ago(3 * HOUR),
      event: "deployed",
      tag: "v1.5.0",
      previousTag: "v1.4.8",
      deploy: "a4",
      durationMs: 73_500,
      phases: {
        stage: 6_200,
        before: 900,
        activate: 50,
        verify: 5_400,
        bake: 60_000,
        commit: 11,
        after: 800,
      },
    },
    {
      at: ago(2 * HOUR + 4_000),
      event: "rolled-back",
      tag: "v1.5.1",
      to: "v1.5.0",
      reason: REASON,
      deploy: "a5",
      phases: { stage: 5_100, before: 900, activate: 40, verify: 5_800, bake: 41_000 },
    },
    {
      at: ago(2 * HOUR),
      event: "failed",
      tag: "v1.5.1",
      phase: "bake",
      reason: REASON,
      deploy: "a5",
      phases: { stage: 5_100, before: 900, activate: 40, verify: 5_800, bake: 41_000 },
      lastLines: [
        'panic: pq: relation "invoices" does not exist',
        "goroutine 1 [running]:",
        "main.mustPrepare(0xc000120000)",
        "\t/src/checkout/db.go:88 +0x1f4",
      ],
    },
    {
      at: ago(17 * MINUTE),
      event: "polled",
      outcome: "unreachable",
      reason: "api.github.com: the connection timed out",
    },
    { at: ago(15 * MINUTE), event: "succeeded-again", after: 2 },
    {
      at: ago(70 * SECOND),
      event: "waiting",
      tag: "v2.0.0",
      why: "min-age",
      reason: "published 2026-05-01T12:40:11.000Z, --min-age is 24h0m0s",
    },
  ];
}

function appLines(now: number): readonly string[] {
  const requests = [
    "GET /cart 200 12ms",
    "POST /checkout 201 84ms",
    "GET /health 200 1ms",
    "GET /cart 200 9ms",
    "GET /products?page=2 200 31ms",
    "POST /checkout 402 61ms card declined",
  ];
  return Array.from({ length: 40 }, (_, index) => {
    const at = new Date(now - (40 - index) * 1_130).toISOString().slice(11, 23);
    return `\u001b[2m${at}\u001b[0m ${requests[(index * 5) % requests.length]}`;
  });
}

function ownLines(now: number): readonly string[] {
  const at = (ms: number): string => new Date(now - ms).toISOString().slice(0, 19);
  return [
    `time=${at(70_000)}Z level=INFO msg="Version waits" version=v2.0.0 reason="--min-age is 24h0m0s"`,
    `time=${at(69_000)}Z level=INFO msg="Version resolved" version=v1.5.2 artifact=checkout_linux_amd64.tar.gz`,
    `time=${at(63_500)}Z level=INFO msg="Artifact downloaded" bytes=18874368 duration=5.4s`,
    `time=${at(62_900)}Z level=INFO msg="Archive extracted" entries=214 duration=610ms`,
    `time=${at(61_800)}Z level=INFO msg="Hook finished" when=before exit_code=0 duration=905ms`,
    `time=${at(52_000)}Z level=INFO msg="Server started" version=v1.5.2 generation=43 pid=31977`,
    `time=${at(48_200)}Z level=INFO msg="Server ready" generation=43 duration=3.8s`,
    `time=${at(48_100)}Z level=INFO msg="Bake started" version=v1.5.2 duration=1m0s`,
  ];
}
