import { expect, test } from "vitest";
import { DeployError, type DewyEvent, HostError } from "../../mod.ts";
import type { Notification } from "../../src/notifiers/driver.ts";
import { plainText, rich } from "../../src/notifiers/rich_text.ts";
import { mrkdwn } from "../../src/notifiers/slack/attachment.ts";
import { notificationOf } from "../../src/notifiers/texts.ts";
import { entryOf } from "./entries.ts";

const HOOK = {
  command: "echo 1",
  exitCode: 0,
  stdout: "",
  stderr: "",
  durationMs: 1,
  timedOut: false,
} as const;

const STARTED = {
  type: "server-started",
  tag: "v1",
  restarted: false,
  withPort: true,
  generation: 1,
  pid: 7,
} as const;
const EXITED = {
  type: "app-exited",
  tag: "v1",
  generation: 1,
  pid: 7,
  code: 3,
  signal: null,
  lastLines: [],
  restartInMs: 1_000,
} as const;

const LOST = {
  type: "replica-lost",
  tag: "v1",
  container: "app-1-0",
  reason: "exited with exit code 1",
  lastLines: [],
  replaceInMs: 1_000,
} as const;
const PULLED = {
  type: "image-pulled",
  tag: "v1",
  image: "a@b",
  durationMs: 1,
} as const;

const ALICE = { user: "alice", message: "checkout <fails>" };
const DEPLOYED = {
  type: "deployed",
  command: "server",
  tag: "v1",
  previousTag: "v2",
  directory: "d",
  durationMs: 1,
} as const;

const TEXTS: [DewyEvent, string | undefined][] = [
  [
    { type: "started", version: "1.2.3", command: "assets", registry: "r", directory: "d" },
    "Automatic shipping started by *Dewy* (v1.2.3: assets)",
  ],
  [{ type: "stopping", signal: "SIGINT" }, "Stop receiving by `interrupt` signal"],
  [{ type: "stopping", signal: "SIGTERM" }, "Stop receiving by `terminated` signal"],
  [{ type: "stopping", signal: "SIGQUIT" }, "Stop receiving by `quit` signal"],
  [
    { type: "downloaded", tag: "v1", artifact: "a", bytes: 1, resumedFrom: 0, durationMs: 1 },
    "Downloaded artifact for `v1`",
  ],
  [
    {
      type: "failed",
      phase: "stage",
      tag: "v1",
      error: new HostError("disk full"),
      count: 2,
      retryInMs: 9_731,
    },
    "Error occurred (count: 2): disk full (next try in 10s)",
  ],
  [
    {
      type: "failed",
      phase: "verify",
      tag: "v1",
      error: new HostError("it crashed"),
      count: 1,
      retryInMs: undefined,
    },
    "Error occurred (count: 1): it crashed",
  ],
  [
    {
      type: "failed",
      phase: "stage",
      tag: "v2",
      error: new DeployError("stage", "Cannot deploy v2: it has no signature", {
        code: "unverified",
      }),
      count: 1,
      retryInMs: undefined,
    },
    "`v2` was not deployed, because it is not verified: it has no signature",
  ],
  [
    { type: "signer-trusted", tag: "v2", identity: "SHA256:key", operator: { user: "al" } },
    "From `v2` on, versions must be signed by `SHA256:key`; accepted by al",
  ],
  [
    { type: "bytes-changed", tag: "v1", artifact: "app.tar.gz" },
    "The bytes of `app.tar.gz` have changed under the tag `v1`: not deployed",
  ],
  [
    { type: "listing-stale", since: new Date(0), maxMs: 3_600_000 },
    "The registry may be frozen: its listing has not changed since 1970-01-01 00:00 UTC, and --max-staleness is 1h0m0s",
  ],
  [
    { type: "hook", tag: "v1", result: { ...HOOK, when: "before" } },
    "✓ Before Deploy Hook: echo 1 (exit: 0)",
  ],
  [
    { type: "hook", tag: "v1", result: { ...HOOK, when: "after", exitCode: 1 } },
    "✗ After Deploy Hook: echo 1 (exit: 1)",
  ],
  [
    { type: "hook", tag: "v1", result: { ...HOOK, when: "after", exitCode: null, timedOut: true } },
    "✗ After Deploy Hook: echo 1 (timed out)",
  ],
  [{ type: "rolled-back", tag: "v2", to: "v1", reason: "r" }, "Rolled back from `v2` to `v1`: r"],
  [
    {
      type: "rolled-back",
      tag: "v2",
      to: "v1",
      reason: "asked for by al",
      operator: { user: "al" },
    },
    "Rolled back from `v2` to `v1` by al",
  ],
  [
    { type: "rolled-back", tag: "v2", to: "v1", reason: "checkout <fails>", operator: ALICE },
    'Rolled back from `v2` to `v1` by alice: "checkout &lt;fails&gt;"',
  ],
  [{ ...DEPLOYED, operator: ALICE }, 'Deployed `v1` by alice: "checkout &lt;fails&gt;"'],
  [DEPLOYED, "Deployed `v1`"],
  [{ ...DEPLOYED, command: "container" }, undefined],
  [
    { type: "ordered", command: "pin v1", operator: ALICE },
    '`pin v1` was asked for by alice: "checkout &lt;fails&gt;"',
  ],
  [{ type: "ordered", command: "poll", operator: { user: "al" } }, undefined],
  [
    { type: "waiting", tag: "v2", why: "pinned", reason: "pinned to v1 by al" },
    "`v2` is available but waits: pinned to v1 by al",
  ],
  [
    {
      type: "waiting",
      tag: "v2",
      why: "window",
      reason: "outside of the deploy window",
      until: new Date("2026-05-04T07:00:00Z"),
    },
    "`v2` is available but waits: outside of the deploy window; until 2026-05-04 07:00 UTC",
  ],
  [{ type: "would-deploy", tag: "v2", previousTag: "v1", directory: "d" }, undefined],
  [{ type: "polled", outcome: "fine", nextAt: new Date(0) }, undefined],
  [{ type: "webhook", source: "github", outcome: "accepted" }, undefined],
  [
    { type: "superseded", tag: "v2", by: "v3" },
    "`v2` was superseded by `v3` before it counted as deployed",
  ],
  [STARTED, "Server started for `v1`"],
  [{ ...STARTED, restarted: true }, "Server restarted for `v1`"],
  [{ ...STARTED, withPort: false }, "Server started for `v1` without port"],
  [{ ...STARTED, restarted: true, withPort: false }, "Server restarted for `v1` without port"],
  [{ type: "app-restart", signal: "SIGUSR1" }, "Restarted receiving by `SIGUSR1` signal"],
  [EXITED, "`v1` exited with exit code 3, starts again in 1s"],
  [{ ...EXITED, restartInMs: undefined }, "`v1` exited with exit code 3"],
  [
    { ...EXITED, code: null, signal: "SIGSEGV", lastLines: ["a", "b"] },
    "`v1` was ended by SIGSEGV, starts again in 1s\n```\na\nb\n```",
  ],
  [
    { ...EXITED, code: 0, lastLines: ["bye"] },
    "`v1` exited with exit code 0, starts again in 1s\n```\nbye\n```",
  ],
  [{ ...EXITED, code: 0, restartInMs: undefined }, "`v1` finished"],
  [
    { type: "resumed", tag: "v1", generation: 2, pid: 7, reason: "it exited with exit code 1" },
    "`v1` failed when it was restarted; the previous process keeps serving: it exited with exit code 1",
  ],
  [
    { type: "start-failed", tag: "v1", reason: "no app.env", retryInMs: 2_000 },
    "Cannot start `v1`: no app.env (next try in 2s)",
  ],
  [
    { type: "crash-loop", tag: "v1", crashes: 5, action: "back to v0" },
    "`v1` keeps crashing (5 times): back to v0",
  ],
  [
    { type: "adopted", pid: 7, tag: "v1" },
    "Found `v1` still running from an earlier start of dewy",
  ],
  [{ type: "no-program" }, "Versions are deployed, but no command is given: nothing is started"],
  [
    { type: "generation-ready", tag: "v1", generation: 1, pid: 7, reason: "start", durationMs: 1 },
    undefined,
  ],
  [PULLED, "Pulled image for `v1`"],
  [{ type: "image-pulling", tag: "v1", artifact: "a:v1" }, undefined],
  [{ type: "containers-serving", tag: "v1", bakeMs: 1 }, undefined],
  [
    { type: "containers-deployed", tag: "v1", ready: 2, replicas: 3 },
    "Container deployed successfully: `2/3` replicas of `v1`",
  ],
  [
    { type: "containers-adopted", containers: ["a"], tags: ["v1"] },
    "Found 1 container of `v1` still running from an earlier start of dewy",
  ],
  [
    { type: "containers-adopted", containers: ["a", "b", "c"], tags: ["v1", "v2"] },
    "Found 3 containers of `v1`, `v2` still running from an earlier start of dewy",
  ],
  [LOST, "Container `app-1-0` of `v1` is lost: exited with exit code 1, replaced in 1s"],
  [
    { ...LOST, replaceInMs: undefined, lastLines: ["a", "b"] },
    "Container `app-1-0` of `v1` is lost: exited with exit code 1\n```\na\nb\n```",
  ],
  [{ type: "replica-ready", tag: "v1", container: "a", address: "b", durationMs: 1 }, undefined],
  [{ type: "replica-retired", tag: "v1", container: "a", cut: 0, durationMs: 1 }, undefined],
  [{ type: "images-removed", images: ["a"] }, undefined],
  [{ type: "unchanged", tag: "v1" }, undefined],
  [{ type: "warning", message: "m" }, undefined],
];

function noted(event: DewyEvent, quiet: boolean): Notification | undefined {
  const entry = entryOf(event);
  return entry && notificationOf(entry, { quiet });
}

/** As Slack shows it. */
function textOf(event: DewyEvent): string | undefined {
  const notification = noted(event, false);
  return notification && mrkdwn(notification.text);
}

test.each(TEXTS)("%j", (event, text) => {
  expect(textOf(event)).toBe(text);
});

test("a crash is sent with its last lines, shortened and without fences of their own", () => {
  const lastLines = [
    ...Array.from({ length: 30 }, (_, index) => `line ${index}`),
    "```",
    "x".repeat(9_999),
  ];
  const text = textOf({ ...EXITED, lastLines }) ?? "";
  const [, , ...shown] = text.split("\n");
  expect(shown).toHaveLength(20 + 1);
  expect(shown[0]).toBe("line 12");
  expect(text.match(/```/g)).toHaveLength(2);
  expect(text.length).toBeLessThan(1_000);
});

test("a quiet notifier sends deployed versions and crashes", () => {
  const kind = (event: DewyEvent): string | undefined => noted(event, true)?.kind;
  const deployed = {
    type: "deployed",
    command: "server",
    tag: "v1",
    previousTag: undefined,
    directory: "d",
    durationMs: 1,
  } as const;
  expect([STARTED, EXITED, deployed].map(kind)).toEqual([undefined, "error", "success"]);
});

test("a quiet notifier sends what an operator has deployed or rolled back", () => {
  const operator = { user: "alice" };
  const events: DewyEvent[] = [
    { ...DEPLOYED, command: "container", operator },
    { type: "rolled-back", tag: "v2", to: "v1", reason: "asked for by alice", operator },
    { type: "rolled-back", tag: "v2", to: "v1", reason: "it crashed" },
  ];
  expect(events.map((event) => noted(event, true)?.kind)).toEqual(["success", "success", "error"]);
});

test("a quiet notifier sends deployed containers once, and lost ones", () => {
  const counted = { type: "containers-deployed", tag: "v1", ready: 1, replicas: 1 } as const;
  const events: DewyEvent[] = [
    PULLED,
    counted,
    {
      type: "deployed",
      command: "container",
      tag: "v1",
      previousTag: undefined,
      directory: "d",
      durationMs: 1,
    },
    LOST,
  ];
  expect(events.map((event) => noted(event, true)?.kind)).toEqual([
    undefined,
    "success",
    undefined,
    "error",
  ]);
});

test("a text can be rendered without markup", () => {
  const notification = noted({ ...EXITED, lastLines: ["a", "b"] }, false);
  expect(plainText(notification?.text ?? [])).toBe(
    "v1 exited with exit code 3, starts again in 1s\na\nb",
  );
  expect(plainText(rich`by ${{ bold: "Dewy" }} (${1})`)).toBe("by Dewy (1)");
});

const ROLLOUT = {
  type: "rollout",
  fleet: "web",
  tag: "v1.2.0",
  change: "halted",
  wave: 1,
  waves: 3,
  hosts: 1,
  of: 100,
  reason: "failed on web-7",
} as const;

test.each([
  ["began", "message", "Rollout of v1.2.0 in fleet web began: wave 1 of 3, 1 of 100 hosts"],
  ["wave", "message", "Rollout of v1.2.0 in fleet web goes on: wave 1 of 3, 1 of 100 hosts"],
  ["done", "success", "Rollout of v1.2.0 in fleet web is done: 100 hosts"],
  [
    "halted",
    "error",
    "Rollout of v1.2.0 in fleet web halted at wave 1 of 3: failed on web-7; dewy fleet status shows every host",
  ],
] as const)(
  "says that a rollout %s, also to the notifier of a host in a fleet",
  (change, kind, text) => {
    const entry = entryOf({ ...ROLLOUT, change });
    const notification = entry && notificationOf(entry, { quiet: false, isInFleet: true });
    expect(notification?.kind).toBe(kind);
    expect(plainText(notification?.text ?? [])).toBe(text);
  },
);

const WENT_BACK = { type: "rolled-back", tag: "v1.2.0", to: "v1.1.0", reason: "broken" } as const;

test.each<[string, DewyEvent, boolean]>([
  ["a deploy of the rollout", DEPLOYED, false],
  ["a deploy that an operator asked for", { ...DEPLOYED, operator: { user: "alice" } }, true],
  ["a rollback by the rollout", { ...WENT_BACK, operator: { user: "the fleet" } }, false],
  ["a rollback of a broken version", WENT_BACK, true],
  ["a wait", { type: "waiting", tag: "v1.2.0", why: "fleet", reason: "wave 1" }, false],
  ["the start of dewy", { type: "stopping", signal: "SIGTERM" }, false],
])("%s of a host in a fleet: sent is %j", (_, event, isSent) => {
  const entry = entryOf(event);
  const wanted = { quiet: false, all: true, isInFleet: true };
  const notification = entry && notificationOf(entry, wanted);
  expect(notification !== undefined).toBe(isSent);
});
