import { describe, expect, test } from "vitest";
import { type DewyEvent, type HookResult, RemoteError } from "../../../mod.ts";
import type { LogLevel } from "../../../src/cli/flags/common.ts";
import {
  formatJson,
  formatStory,
  formatText,
  type LogFormatter,
} from "../../../src/cli/log/format.ts";
import { createLogger } from "../../../src/cli/log/log.ts";
import { terminalStyle } from "../../../src/cli/terminal.ts";

const PLAIN = terminalStyle({ isTerminal: false }, {});
const NOW = Date.UTC(2026, 4, 1, 12, 0, 0, 123);
const HOOK: HookResult = {
  when: "before",
  command: "echo hi",
  exitCode: 0,
  stdout: "hi",
  stderr: "",
  durationMs: 1500,
  timedOut: false,
};
const STARTED: DewyEvent = {
  type: "started",
  version: "1.2.3",
  command: "assets",
  registry: "ghr://o/r",
  directory: "/srv/my app",
};

function log(
  events: readonly DewyEvent[],
  level: LogLevel = "debug",
  format: LogFormatter = formatText,
  redact?: (text: string) => string,
): string {
  let written = "";
  const sink = createLogger({
    level,
    format,
    now: () => NOW,
    write: (text) => {
      written += text;
    },
    ...(redact === undefined ? {} : { redact }),
  });
  for (const event of events) sink(event);
  return written;
}

describe("the log as text", () => {
  test("has time, level, a static message and fields, quoted where needed", () => {
    expect(log([STARTED])).toBe(
      'time=2026-05-01T12:00:00.123Z level=INFO msg="Dewy started" version=1.2.3 command=assets registry=ghr://o/r directory="/srv/my app"\n',
    );
  });
  test("writes durations in Go's notation, and empty values in quotes", () => {
    expect(log([{ type: "hook", tag: "v1.0.0", result: HOOK }])).toContain(
      'msg="Hook succeeded" when=before tag=v1.0.0 command="echo hi" stdout=hi stderr="" exit_code=0 duration=1.5s',
    );
  });
  test("an event is one line, whatever its fields hold", () => {
    const hostile = 'v1\nlevel=ERROR msg="owned"\u001b[2J\u202e\u0085\u2028=';
    const written = log([{ type: "pending", tag: hostile }]);
    expect(written.split("\n")).toHaveLength(2);
    expect(written).toContain('tag="v1\\nlevel=ERROR msg=\\"owned\\"\\x1b[2J\\u202e\\x85\\u2028="');
  });
});

describe("the log as JSON", () => {
  test("writes durations as integers of nanoseconds", () => {
    expect(log([{ type: "hook", tag: "v1.0.0", result: HOOK }], "info", formatJson)).toBe(
      '{"time":"2026-05-01T12:00:00.123Z","level":"INFO","msg":"Hook succeeded","when":"before","tag":"v1.0.0","command":"echo hi","stdout":"hi","stderr":"","exit_code":0,"duration":1500000000}\n',
    );
  });
  test("an event is one line of valid JSON, whatever its fields hold", () => {
    const tag = "v1\n\u2028\u0085\u001b[2J";
    const written = log([{ type: "pending", tag }], "debug", formatJson);
    expect(written.trimEnd()).toMatch(/^[\u0020-\u007e]+$/);
    expect(JSON.parse(written)).toMatchObject({ level: "DEBUG", tag });
  });
  test("writes lists as arrays", () => {
    const written = log([{ type: "pruned", directories: ["a", "b"] }], "info", formatJson);
    expect(JSON.parse(written)).toMatchObject({ msg: "Old releases removed", removed: ["a", "b"] });
  });
});

describe("the log at a terminal", () => {
  const ESCAPE = "\u001b";
  const story = (event: DewyEvent, level: LogLevel = "info"): string =>
    log([event], level, formatStory(PLAIN)).replace(/^\d\d:\d\d:\d\d /, "");
  const DEPLOYED = {
    type: "deployed",
    command: "assets",
    tag: "v1.2.0",
    previousTag: "v1.1.0",
    directory: "/d",
    durationMs: 2_140,
  } as const;
  const ALICE = { user: "alice", message: "slow" };
  const FAILED = {
    type: "failed",
    phase: "stage",
    tag: "v2",
    error: new RemoteError("no answer"),
    count: 1,
    retryInMs: 65_000,
  } as const;

  test.each<[DewyEvent, string]>([
    [STARTED, "  dewy 1.2.3 assets started: ghr://o/r → /srv/my app\n"],
    [DEPLOYED, "✓ v1.2.0 deployed, was v1.1.0 (2.1 s)\n"],
    [{ ...DEPLOYED, previousTag: undefined, durationMs: 90 }, "✓ v1.2.0 deployed (90 ms)\n"],
    [{ type: "up-to-date", tag: "v1" }, "✓ v1 is up to date\n"],
    [FAILED, "✗ deploy of v2 failed: no answer; retry in 1 min 5 s\n"],
    [{ ...FAILED, tag: undefined, retryInMs: undefined }, "✗ poll failed: no answer\n"],
    [
      { type: "rolled-back", tag: "v2", to: "v1", reason: "it exited" },
      "✗ v2 rolled back to v1: it exited\n",
    ],
    [
      { type: "rolled-back", tag: "v2", to: "v1", reason: "slow", operator: ALICE },
      '✓ v2 rolled back to v1 by alice: "slow"\n',
    ],
    [{ ...DEPLOYED, operator: { user: "al" } }, "✓ v1.2.0 deployed by al, was v1.1.0 (2.1 s)\n"],
    [
      { type: "ordered", command: "rollback", operator: ALICE },
      '  rollback asked for by alice: "slow"\n',
    ],
    [
      {
        type: "waiting",
        tag: "v2",
        why: "min-age",
        reason: "younger than 2h",
        until: new Date("2026-05-04T07:00:59Z"),
      },
      "  v2 waits: younger than 2h; until 2026-05-04 07:00 UTC\n",
    ],
    [
      { type: "waiting", tag: "v2", why: "paused", reason: "paused by al" },
      "  v2 waits: paused by al\n",
    ],
    [
      { type: "would-deploy", tag: "v2", previousTag: "v1", directory: "/d" },
      "  dry run: v2 would be deployed, v1 is live\n",
    ],
    [
      { type: "webhook", source: "github", outcome: "refused", reason: "wrong signature" },
      "! webhook refused (github): wrong signature\n",
    ],
    [
      { type: "hook", tag: "v1", result: { ...HOOK, stdout: "one\ntwo" } },
      "  before-deploy hook succeeded: echo hi (1.5 s)\n           one\n           two\n",
    ],
    [
      { type: "hook", tag: "v1", result: { ...HOOK, exitCode: 3, stdout: "" } },
      "✗ before-deploy hook failed (3): echo hi (1.5 s)\n",
    ],
    [
      { type: "warning", message: "Look", fields: { here: 1, at: "a b" } },
      '! Look  here=1  at="a b"\n',
    ],
  ])("tells a story: %j", (event, text) => {
    expect(story(event)).toBe(text);
  });
  test("has a line for the same events as the other formats", () => {
    expect(log([STARTED, FAILED], "error", formatStory(PLAIN)).split("\n")).toHaveLength(2);
    expect(story({ type: "download-progress", tag: "v1", artifact: "a", received: 1 })).toBe("");
  });
  test("shows control characters instead of letting the terminal interpret them", () => {
    const activated = {
      type: "activated",
      tag: "v1",
      directory: `/d${ESCAPE}[2J\n✓ owned`,
    } as const;
    expect(story(activated)).toBe("  current → /d\\x1b[2J\\n✓ owned\n");
    const result = { ...HOOK, stdout: `a${ESCAPE}[2J` };
    expect(story({ type: "hook", tag: "v1", result })).toContain("a\\x1b[2J\n");
  });
  test("has no secrets, not even in the output of an app", () => {
    const redact = (text: string): string => text.replaceAll("hunter2hunter2", "…");
    const result = { ...HOOK, command: "login hunter2hunter2", stderr: "as hunter2hunter2" };
    const written = log([{ type: "hook", tag: "v1", result }], "info", formatStory(PLAIN), redact);
    expect(written).toContain("login …");
    expect(written).not.toContain("hunter2");
  });
  test("is coloured by level", () => {
    const style = terminalStyle({ isTerminal: true, columns: 80 }, {});
    const coloured = (event: DewyEvent): string => log([event], "debug", formatStory(style));
    expect(coloured(DEPLOYED)).toContain(`${ESCAPE}[32m✓${ESCAPE}[39m v1.2.0 deployed`);
    expect(coloured(FAILED)).toContain(`${ESCAPE}[31m✗${ESCAPE}[39m ${ESCAPE}[31mdeploy of v2`);
    expect(coloured({ type: "warning", message: "Look" })).toContain(`${ESCAPE}[33mLook`);
    expect(coloured({ type: "unchanged", tag: "v1" })).toContain(`${ESCAPE}[2mDeploy skipped`);
  });
});

describe("levels", () => {
  const events: DewyEvent[] = [
    { type: "unchanged", tag: "v1" },
    {
      type: "deployed",
      command: "assets",
      tag: "v1",
      previousTag: undefined,
      directory: "/d",
      durationMs: 1,
    },
    { type: "held", tag: "v2", running: "v1", reason: "r" },
    {
      type: "failed",
      phase: "resolve",
      tag: undefined,
      error: new RemoteError("no answer"),
      count: 1,
      retryInMs: 10_000,
    },
  ];
  test.each([
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
  ] as const)("%s lets %i of four through", (level, count) => {
    expect(log(events, level).trimEnd().split("\n")).toHaveLength(count);
  });
  test("a repeated failure is logged at debug", () => {
    const failed = events.filter(({ type }) => type === "failed");
    const again = failed.map((event) => ({ ...event, isRepeated: true })) as DewyEvent[];
    expect(log(again, "info")).toBe("");
    expect(log(again, "debug")).toContain("Poll failed");
  });
  test("waiting for an artifact within the grace period is logged at debug", () => {
    expect(log([{ type: "pending", tag: "v1" }], "info")).toBe("");
  });
  test("a hook that fails is an error", () => {
    const written = log(
      [{ type: "hook", tag: "v1", result: { ...HOOK, exitCode: null, timedOut: true } }],
      "error",
    );
    expect(written).toContain('level=ERROR msg="Hook failed"');
    expect(written).toContain("timed_out=true");
  });
  test("an important warning is logged even where only errors are", () => {
    const warning: DewyEvent = { type: "warning", message: "Look", fields: { here: 1 } };
    expect(log([warning], "error")).toBe("");
    expect(log([{ ...warning, important: true }], "error")).toContain("msg=Look here=1");
  });
  test("download progress is not logged", () => {
    expect(log([{ type: "download-progress", tag: "v1", artifact: "a", received: 1 }])).toBe("");
    const limit = { type: "rate-limit", host: "h", remaining: 9, limit: 60, resetAt: new Date(0) };
    expect(log([{ ...limit, isRoutine: true } as DewyEvent])).toBe("");
  });
});

describe("the log of an app", () => {
  const exited: DewyEvent = {
    type: "app-exited",
    tag: "v1",
    generation: 2,
    pid: 7,
    code: 3,
    signal: null,
    lastLines: ["panic: hunter2hunter2"],
    restartInMs: 2_000,
  };
  const GENERATION = { generation: 2, pid: 7 };
  const lines: [DewyEvent, string][] = [
    [
      { type: "server-started", tag: "v1", restarted: false, withPort: true, ...GENERATION },
      'level=INFO msg="Server started" tag=v1 with_port=true generation=2 pid=7',
    ],
    [
      { type: "server-started", tag: "v1", restarted: true, withPort: false, ...GENERATION },
      'level=INFO msg="Server restarted" tag=v1 with_port=false generation=2 pid=7',
    ],
    [
      { type: "generation-ready", tag: "v1", ...GENERATION, reason: "start", durationMs: 1_500 },
      'level=INFO msg="App ready" tag=v1 generation=2 pid=7 duration=1.5s',
    ],
    [
      { type: "draining", ...GENERATION, drainMs: 30_000 },
      'level=INFO msg="App draining" generation=2 pid=7 at_most=30s',
    ],
    [
      { type: "drained", ...GENERATION, durationMs: 10, killed: false },
      'level=INFO msg="App drained" generation=2 pid=7 duration=10ms',
    ],
    [
      { type: "drained", ...GENERATION, durationMs: 30_000, killed: true },
      'level=WARN msg="App killed after the drain time" generation=2 pid=7 duration=30s',
    ],
    [
      exited,
      'level=ERROR msg="App exited" tag=v1 generation=2 pid=7 exit_code=3 restart_in=2s last_lines="[panic: hunter2hunter2]"',
    ],
    [
      { ...exited, code: null, signal: "SIGSEGV", lastLines: [] },
      'level=ERROR msg="App exited" tag=v1 generation=2 pid=7 signal=SIGSEGV restart_in=2s',
    ],
    [
      { ...exited, code: 0, restartInMs: undefined, lastLines: [] },
      'level=INFO msg="App finished" tag=v1 generation=2 pid=7 exit_code=0',
    ],
    [
      { type: "resumed", tag: "v1", generation: 2, pid: 7, reason: "exit code 1" },
      'level=ERROR msg="Restarted app failed, the previous one keeps serving" tag=v1 generation=2 pid=7 reason="exit code 1"',
    ],
    [
      { type: "crash-loop", tag: "v1", crashes: 5, action: "back to v0" },
      'level=ERROR msg="App keeps crashing" tag=v1 crashes=5 action="back to v0"',
    ],
    [
      { type: "adopted", pid: 7, tag: "v1" },
      'level=WARN msg="App from a previous run found" pid=7 tag=v1',
    ],
    [{ type: "app-restart", signal: "SIGHUP" }, 'level=INFO msg="App restarting" signal=SIGHUP'],
    [
      { type: "directory-of-program", directory: "/opt/app", program: "/opt/app/current/app" },
      'level=INFO msg="Working directory taken from the command" directory=/opt/app program=/opt/app/current/app',
    ],
    [
      { type: "no-program" },
      'level=WARN msg="No command after --: dewy deploys versions but starts nothing"',
    ],
  ];
  test.each(lines)("%j", (event, line) => {
    expect(log([event])).toBe(`time=2026-05-01T12:00:00.123Z ${line}\n`);
  });
  test("has no secrets in the last lines", () => {
    const redact = (text: string): string => text.replaceAll("hunter2hunter2", "…");
    expect(JSON.parse(log([exited], "error", formatJson, redact)).last_lines).toEqual(["panic: …"]);
  });
});

describe("the log of containers", () => {
  const lost: DewyEvent = {
    type: "replica-lost",
    tag: "v1",
    container: "app-1-0",
    reason: "exited with exit code 1",
    lastLines: ["panic"],
    replaceInMs: 1_000,
  };
  const lines: [DewyEvent, string][] = [
    [
      { type: "image-pulled", tag: "v1", image: "h/a@sha256:1", durationMs: 10 },
      'level=INFO msg="Image pulled" tag=v1 image=h/a@sha256:1 duration=10ms',
    ],
    [
      { type: "image-pulling", tag: "v1", artifact: "h/a:v1" },
      'level=INFO msg="Pulling image" tag=v1 artifact=h/a:v1',
    ],
    [
      { type: "containers-serving", tag: "v1", bakeMs: 30_000 },
      'level=INFO msg="New containers serving" tag=v1 bake=30s',
    ],
    [
      {
        type: "replica-ready",
        tag: "v1",
        container: "app-1-0",
        address: "127.0.0.1:32768",
        durationMs: 1_500,
      },
      'level=INFO msg="Container ready" tag=v1 container=app-1-0 address=127.0.0.1:32768 duration=1.5s',
    ],
    [
      { type: "replica-retired", tag: "v1", container: "app-1-0", cut: 0, durationMs: 2_000 },
      'level=INFO msg="Container removed" tag=v1 container=app-1-0 duration=2s',
    ],
    [
      { type: "replica-retired", tag: "v1", container: "app-1-0", cut: 2, durationMs: 30_000 },
      'level=WARN msg="Container removed" tag=v1 container=app-1-0 cut_connections=2 duration=30s',
    ],
    [
      lost,
      'level=ERROR msg="Container lost" tag=v1 container=app-1-0 reason="exited with exit code 1" replace_in=1s last_lines=[panic]',
    ],
    [
      { ...lost, replaceInMs: undefined, lastLines: [] },
      'level=ERROR msg="Container lost" tag=v1 container=app-1-0 reason="exited with exit code 1"',
    ],
    [
      { type: "containers-deployed", tag: "v1", ready: 3, replicas: 3 },
      'level=INFO msg="Containers deployed" tag=v1 ready=3 replicas=3',
    ],
    [
      { type: "containers-adopted", containers: ["a", "b"], tags: ["v1"] },
      'level=INFO msg="Containers from a previous run found" containers="[a b]" tags=[v1]',
    ],
    [
      { type: "containers-ending", containers: ["a"], keep: false, drainMs: 30_000 },
      'level=INFO msg="Connections draining" containers=[a] at_most=30s',
    ],
    [
      { type: "containers-ending", containers: ["a"], keep: true, drainMs: 0 },
      'level=INFO msg="Connections draining, containers keep running" containers=[a] at_most=0s',
    ],
    [
      { type: "images-removed", images: ["dewy/app:v0"] },
      'level=INFO msg="Old images removed" removed=[dewy/app:v0]',
    ],
  ];
  test.each(lines)("%j", (event, line) => {
    expect(log([event])).toBe(`time=2026-05-01T12:00:00.123Z ${line}\n`);
  });
});

test("secrets are removed from every field", () => {
  const result = { ...HOOK, stdout: "token=hunter2hunter2" };
  const written = log([{ type: "hook", tag: "v1", result }], "info", formatJson, (text) =>
    text.replaceAll("hunter2hunter2", "…"),
  );
  expect(written).toContain("token=…");
  expect(written).not.toContain("hunter2");
});
