import { execFileSync } from "node:child_process";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { entryLine, type JournalEntry } from "../../../src/journal/entry.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { fakeProcess } from "../process.ts";

const ENTRIES: readonly JournalEntry[] = [
  {
    at: "2026-01-02T03:00:00.000Z",
    event: "started",
    mode: "server",
    dewy: "0.1.0",
    registry: "ghr://owner/app",
  },
  {
    at: "2026-01-02T03:00:35.000Z",
    event: "deployed",
    tag: "v1.1.0",
    previousTag: "v1.0.0",
    durationMs: 34_512,
    phases: { stage: 1234, before: 0, activate: 12, verify: 3000, bake: 30_000, commit: 5 },
  },
  { at: "2026-01-02T03:01:00.000Z", event: "polled", outcome: "fine" },
  {
    at: "2026-01-02T03:05:00.000Z",
    event: "rolled-back",
    tag: "v1.2.0",
    to: "v1.1.0",
    reason: "Cannot deploy v1.2.0: the app exited with exit code 1",
  },
  {
    at: "2026-01-02T03:05:01.000Z",
    event: "app-exited",
    tag: "v1.2.0",
    exitCode: 1,
    lastLines: ["panic: no database", "\u001b[2Jgone"],
  },
  {
    at: "2026-01-02T03:06:00.000Z",
    event: "ordered",
    command: "pin v1.1.0",
    user: "alice",
    message: "until it is fixed",
  },
];

async function withJournal(entries: readonly JournalEntry[] = ENTRIES): Promise<string> {
  const root = await tempDirectory();
  await mkdir(join(root, ".dewy"));
  await writeFile(journalIn(root), Buffer.concat(entries.map(entryLine)));
  return root;
}

/** No other instance of this machine. */
function env(root: string): Record<string, string> {
  return { DEWY_RUNTIME_DIR: join(root, "run") };
}

function journalIn(root: string): string {
  return join(root, ".dewy", "journal.jsonl");
}

async function history(
  root: string,
  flags: readonly string[] = [],
  options: Parameters<typeof fakeProcess>[0] = {},
): Promise<{ code: number; out: string; err: string }> {
  const io = fakeProcess({ ...options, env: { ...env(root), ...options.env } });
  const code = await run(["history", "--directory", root, ...flags], io);
  return { code, out: io.out(), err: io.err() };
}

/** Local times depend on the machine. */
function withoutTimes(out: string): string {
  return out.replaceAll(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/gm, "<time>");
}

describe("dewy history", () => {
  it("prints a line for each entry, with phases, reason and operator", async () => {
    const { code, out } = await history(await withJournal());
    expect(code).toBe(0);
    expect(withoutTimes(out)).toMatchInlineSnapshot(`
      "TIME                 EVENT        VERSION     TOOK    DETAILS
      <time>  started                          dewy 0.1.0 server; ghr://owner/app
      <time>  deployed     v1.1.0      34.5s   from v1.0.0; stage 1.2s, verify 3s, bake 30s
      <time>  rolled-back  v1.2.0              to v1.1.0; the app exited with exit code 1
      <time>  app-exited   v1.2.0              exit code 1
                           | panic: no database
                           | \\x1b[2Jgone
      <time>  ordered                          pin v1.1.0 by alice: "until it is fixed"
      "
    `);
  });

  it("names the details of a deploy if asked for them", async () => {
    const at = "2026-01-02T03:04:05.000Z";
    const details: JournalEntry[] = [
      { at, event: "downloaded", tag: "v1.1.0", artifact: "app.tar.gz" },
      { at, event: "image-pulled", tag: "v1.1.0", image: "app@sha256:1" },
      { at, event: "activated", tag: "v1.1.0", directory: "/opt/app/releases/1" },
      { at, event: "server-started", tag: "v1.1.0", pid: 7 },
      { at, event: "containers-deployed", tag: "v1.1.0", ready: 2, replicas: 3 },
      { at, event: "containers-adopted", containers: ["app-1-0", "app-1-1"], tags: ["v1.1.0"] },
    ];
    const lost = { at, event: "notifications-lost", notifier: "slack://x", count: 2, reason: "no" };
    const root = await withJournal([...details, lost]);
    const shown = await history(root);
    expect(shown.out).toMatch(/ notifications-lost +2 for slack:\/\/x; no\n$/);
    expect(shown.out.split("\n")).toHaveLength(3);
    const flags = details.flatMap(({ event }) => ["--event", event]);
    expect(withoutTimes((await history(root, flags)).out)).toMatchInlineSnapshot(`
      "TIME                 EVENT        VERSION     TOOK    DETAILS
      <time>  downloaded   v1.1.0              app.tar.gz
      <time>  image-pulled  v1.1.0             app@sha256:1
      <time>  activated    v1.1.0              /opt/app/releases/1
      <time>  server-started  v1.1.0           pid 7
      <time>  containers-deployed  v1.1.0      2 of 3 replicas
      <time>  containers-adopted               app-1-0, app-1-1
      "
    `);
  });

  it("keeps the columns after a long name", async () => {
    const at = "2026-01-02T03:04:05.000Z";
    const root = await withJournal([{ at, event: "succeeded-again", after: 2 }]);
    expect(withoutTimes((await history(root)).out)).toMatchInlineSnapshot(`
      "TIME                 EVENT        VERSION     TOOK    DETAILS
      <time>  succeeded-again                  the poll, after 2 failures
      "
    `);
  });

  it("fits into 80 columns on a terminal, without control characters of the app", async () => {
    const root = await withJournal();
    const { out } = await history(root, [], {
      isTerminal: true,
      columns: 80,
      env: { NO_COLOR: "1" },
    });
    expect(withoutTimes(out)).toMatchInlineSnapshot(`
      "TIME                 EVENT        VERSION     TOOK    DETAILS
      <time>  started      dewy 0.1.0 server; ghr://owner/app
      <time>  deployed     v1.1.0      34.5s
                           from v1.0.0; stage 1.2s, verify 3s, bake 30s
      <time>  rolled-back  v1.2.0
                           to v1.1.0; the app exited with exit code 1
      <time>  app-exited   v1.2.0              exit code 1
                           | panic: no database
                           | \\x1b[2Jgone
      <time>  ordered      pin v1.1.0 by alice: "until it is fixed"
      "
    `);
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it("colours the names of events on a terminal", async () => {
    const { out } = await history(await withJournal(), [], { isTerminal: true });
    expect(out).toContain("\u001b[32mdeployed\u001b[39m");
    expect(out).toContain("\u001b[31mrolled-back\u001b[39m");
  });

  it("shows local time", async () => {
    const { out } = await history(await withJournal());
    const local = new Date("2026-01-02T03:06:00.000Z");
    expect(out).toContain(`${String(local.getHours()).padStart(2, "0")}:06:00  ordered`);
  });

  it("prints one entry a line with --json, all of them", async () => {
    const { out } = await history(await withJournal(), ["--json"]);
    const lines = out.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual(ENTRIES);
    expect(out).not.toContain("\u001b");
  });

  it.each([
    [["--event", "deployed"], ["deployed"]],
    [
      ["--event", "polled", "--event", "started"],
      ["started", "polled"],
    ],
    [
      ["--tag", "v1.2.0"],
      ["rolled-back", "app-exited"],
    ],
    [
      ["--tag", "1.1.0"],
      ["deployed", "rolled-back", "ordered"],
    ],
    [
      ["--limit", "2"],
      ["app-exited", "ordered"],
    ],
    [["--event", "deployed", "--event", "ordered", "--limit", "1"], ["ordered"]],
  ])("filters with %j", async (flags, events) => {
    const { out } = await history(await withJournal(), [...flags, "--json"]);
    const lines = out.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(events);
  });

  it("shows 50 entries by default, and all with --limit 0", async () => {
    const many = Array.from({ length: 120 }, (_, number) => ({
      at: new Date(Date.UTC(2026, 0, 1) + number).toISOString(),
      event: "deployed",
      tag: `v1.0.${number}`,
    }));
    const root = await withJournal(many);
    const tags = ({ out }: { out: string }): string[] =>
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).tag);
    const all = many.map(({ tag }) => tag);
    expect(tags(await history(root, ["--json"]))).toEqual(all.slice(-50));
    expect(tags(await history(root, ["--json", "--limit", "0"]))).toEqual(all);
  });

  it("shows only what happened since then", async () => {
    const now = Date.now();
    const entries = [7_200_000, 60_000].map((ago) => ({
      at: new Date(now - ago).toISOString(),
      event: "deployed",
    }));
    const { out } = await history(await withJournal(entries), ["--since", "1h", "--json"]);
    expect(JSON.parse(out)).toEqual(entries[1]);
  });

  it("lists the known events for an unknown one", async () => {
    const { code, err } = await history(await withJournal(), ["--event", "deploed"]);
    expect(code).toBe(1);
    expect(err).toContain('Invalid value for --event "deploed"');
    expect(err).toContain('did you mean "deployed"?');
    expect(err).toContain("rolled-back, ");
  });

  it("says that there is nothing yet, and that nothing fits", async () => {
    const empty = await withJournal([]);
    expect(await history(empty)).toEqual({
      code: 0,
      out: "Nothing has been recorded yet.\n",
      err: "",
    });
    expect((await history(empty, ["--json"])).out).toBe("");
    expect((await history(await withJournal(), ["--tag", "v9"])).out).toBe(
      "No entry fits these filters.\n",
    );
  });

  it("shows the entries of a newer dewy", async () => {
    const root = await withJournal([
      { at: "2026-01-02T03:00:00.000Z", event: "teleported", reason: "it can" },
    ]);
    expect((await history(root)).out).toContain("teleported");
    expect((await history(root)).out).toContain("it can");
  });

  it("follows until Ctrl-C, which is exit code 130", async () => {
    const root = await withJournal();
    const io = fakeProcess({ env: env(root) });
    const flags = ["--follow", "--limit", "1", "--event", "ordered", "--json"];
    const running = run(["history", "--directory", root, ...flags], io);
    await expect.poll(() => io.out()).toContain("pin v1.1.0");
    const [added, other] = [
      { at: "2026-01-02T04:00:00.000Z", event: "ordered", command: "unpin" },
      { at: "2026-01-02T04:00:01.000Z", event: "deployed", tag: "v1.3.0" },
    ];
    await appendFile(journalIn(root), Buffer.concat([added, other].map(entryLine)));
    await expect.poll(() => io.out()).toContain("unpin");
    io.kill("SIGINT");
    expect(await running).toBe(130);
    expect(io.out()).not.toContain("v1.3.0");
  });

  it.skipIf(process.getuid?.() === 0)(
    "says that another user's journal cannot be read",
    async () => {
      const root = await withJournal();
      execFileSync("chmod", ["000", journalIn(root)]);
      expect(await history(root)).toMatchObject({ code: 3 });
    },
  );
});
