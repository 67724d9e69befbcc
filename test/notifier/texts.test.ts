import { expect, test } from "vitest";
import { type DewyEvent, HostError } from "../../mod.ts";
import { notificationOf } from "../../src/notifier/texts.ts";

const HOOK = {
  command: "echo 1",
  exitCode: 0,
  stdout: "",
  stderr: "",
  durationMs: 1,
  timedOut: false,
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
      retryInMs: 1,
    },
    "Error occurred (count: 2): disk full",
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
  [{ type: "rolled-back", tag: "v2", to: undefined, reason: "r" }, "Took `v2` back: r"],
  [{ type: "unchanged", tag: "v1" }, undefined],
  [{ type: "warning", message: "m" }, undefined],
];

test.each(TEXTS)("%j", (event, text) => {
  expect(notificationOf(event, false)?.text).toBe(text);
});
