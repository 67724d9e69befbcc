import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { CommandContext } from "../../../src/agent/context.ts";
import type { StatusConfig } from "../../../src/cli/flags/local.ts";
import { runStatus } from "../../../src/cli/steer/status.ts";
import { statusDetails, statusTable } from "../../../src/cli/steer/status_text.ts";
import { terminalStyle } from "../../../src/cli/terminal.ts";
import type { InstanceStatus } from "../../../src/control/protocol.ts";
import { instanceId } from "../../../src/control/runtime_directory.ts";
import type { Control } from "../../../src/control/server.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { EMPTY_STATE } from "../../../src/deploy/state.ts";
import { lockPath, statePath } from "../../../src/host/files/own_paths.ts";
import { stateFile } from "../../../src/host/files/state_file.ts";
import { acquireLock } from "../../../src/host/process/lock.ts";
import { openFakeControl } from "../../control/fake_control.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { fakeProcess } from "../process.ts";

const NOW = Date.UTC(2026, 4, 1, 12, 0, 0);
const past = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();
const future = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

interface Machine {
  env: Record<string, string>;
  /** Runs an instance in this process, under the lock of its directory. */
  start(name: string, over?: Partial<InstanceStatus>): Promise<Running>;
  status(config?: Partial<StatusConfig>): Promise<{ code: number; out: string }>;
}

interface Running extends Control {
  directory: string;
  /** Leaves everything behind, as SIGKILL does. */
  vanish(): Promise<void>;
}

async function machine(): Promise<Machine> {
  const runtime = join(await tempDirectory(), "run");
  const env = { DEWY_RUNTIME_DIR: runtime };
  return {
    env,
    start: async (name, over = {}) => {
      const directory = await tempDirectory();
      const lock = await acquireLock(lockPath(directory), "server");
      onTestFinished(() => lock.release());
      await stateFile(statePath(directory), () => {}).update(() => EMPTY_STATE);
      const status = async () => statusOf({ name, directory, ...over });
      const handler = { status, steer: async () => ({ text: "" }) };
      const control = await openFakeControl({ root: directory, name, env, handler });
      return {
        directory,
        close: async () => {
          await control.close();
          await lock.release();
        },
        vanish: async () => {
          const file = join(runtime, instanceId(directory), "instance.json");
          const text = await readFile(file, "utf8");
          await control.close();
          await lock.release();
          await mkdir(join(runtime, instanceId(directory)), { mode: 0o700 });
          await writeFile(file, text);
        },
      };
    },
    status: async (config = {}) => {
      const process = fakeProcess({ env });
      const context = {
        ...process,
        clock: { ...systemClock, now: () => NOW },
        version: "1.2.3",
        redactor: () => (text: string) => text.replaceAll("hunter2", "***"),
      } as unknown as CommandContext;
      const code = await runStatus(
        {
          command: "status",
          name: undefined,
          directory: undefined,
          json: false,
          logLevel: undefined,
          logFormat: undefined,
          ...config,
        },
        context,
      );
      return { code, out: process.out() };
    },
  };
}

function statusOf(over: Partial<InstanceStatus> = {}): InstanceStatus {
  return {
    name: "app",
    mode: "server",
    directory: "/opt/app",
    registry: "ghr://owner/repo",
    process: { pid: 7, dewy: "1.2.3", since: past(2 * 86_400) },
    live: { tag: "v1.2.0", directory: "/opt/app/releases/d1", since: past(180) },
    phase: { name: "idle" },
    app: { health: "serving" },
    lastPoll: { at: past(10), outcome: "fine" },
    nextPollAt: future(20),
    waiting: [],
    bad: [],
    skipped: [],
    ...over,
  };
}

describe("dewy status", () => {
  test("says that there is nothing, with exit code 2", async () => {
    const { status } = await machine();
    expect(await status()).toEqual({
      code: 2,
      out: "No instances found; dewy status --directory PATH shows a stopped one.\n",
    });
    expect(await status({ json: true })).toEqual({ code: 2, out: '{"instances":[],"hidden":0}\n' });
  });

  test("shows the details of a single instance, a table of several, and JSON", async () => {
    const { start, status } = await machine();
    const { directory } = await start("app");
    expect((await status()).out).toContain(`app (server) in ${directory}\n`);
    await start("web", { live: undefined, app: { health: "starting" } });
    expect(await status()).toEqual({
      code: 0,
      out: [
        "NAME  MODE    VERSION  SINCE      STATE     LAST POLL  NOTES",
        "app   server  v1.2.0   3 min ago  serving   10 s ago",
        "web   server  none     -          starting  10 s ago",
        "",
      ].join("\n"),
    });
    const json = JSON.parse((await status({ json: true })).out);
    expect(json).toMatchObject({ hidden: 0, instances: [{ name: "app" }, { name: "web" }] });
    const one = JSON.parse((await status({ json: true, name: "web" })).out);
    expect(one.instances).toHaveLength(1);
  });

  test("shows a killed instance from its directory, and a stopped one if its directory is given", async () => {
    const { start, status } = await machine();
    const killed = await start("app");
    await mkdir(join(killed.directory, "releases", "d1"), { recursive: true });
    await symlink("releases/d1", join(killed.directory, "current"));
    await killed.vanish();
    const { code, out } = await status();
    expect(code).toBe(0);
    expect(out).toContain("app (server)");
    expect(out).toMatch(
      /state +dewy does not run\n +problem +dewy was killed or has crashed; its app may still run/,
    );
    expect(out).toMatch(/version +d1, since/);
    const stopped = await start("web");
    await stopped.close();
    expect((await status()).out).not.toContain("web");
    const json = JSON.parse((await status({ directory: stopped.directory, json: true })).out);
    expect(json.instances).toMatchObject([{ phase: { name: "stopped" } }]);
  });

  test("a hung instance hides no other one, and does not delay them in turn", async () => {
    const { env, start, status } = await machine();
    await start("fine");
    const hung: string[] = [];
    for (const name of ["hung-1", "hung-2"]) {
      const { directory } = await start(name);
      const path = join(env.DEWY_RUNTIME_DIR ?? "", instanceId(directory), "socket");
      await rm(path);
      const server = createServer(() => {});
      await new Promise<void>((resolve) => server.listen(path, resolve));
      onTestFinished(() => void server.close());
      hung.push(path);
    }
    const startedAt = performance.now();
    const { code, out } = await status();
    expect(performance.now() - startedAt).toBeLessThan(9_000);
    expect(code).toBe(0);
    expect(out).toMatch(/fine +server +v1.2.0 .* serving/);
    expect(out.match(/does not answer/g)?.length).toBe(2);
  });

  test("an unreadable state hides no other one", async () => {
    const { start, status } = await machine();
    await start("fine");
    const broken = await start("broken");
    await broken.vanish();
    await rm(statePath(broken.directory));
    await symlink("/dev/zero/x", statePath(broken.directory));
    const { code, out } = await status();
    expect(code).toBe(0);
    expect(out).toMatch(/fine .* serving/);
    expect(out).toMatch(/broken /);
  });

  test("masks secrets", async () => {
    const { start, status } = await machine();
    const bad = [{ tag: "v1", reason: "password hunter2", at: past(1) }];
    await start("app", { bad });
    expect((await status({ json: true })).out).not.toContain("hunter2");
  });
});

const PLAIN = terminalStyle({ isTerminal: false }, {});

describe("the details", () => {
  const details = (over: Partial<InstanceStatus>): string[] =>
    statusDetails(statusOf(over), NOW, terminalStyle({ isTerminal: false }, {})).split("\n");

  test("say everything about a version that waits for its operators", () => {
    const said = { user: "alice", at: past(7_200) };
    const lines = details({
      phase: { name: "bake", tag: "v1.2.0", since: past(20) },
      app: {
        health: "serving",
        generations: [
          { number: 1, pid: 11, tag: "v1.1.0", state: "standby", since: past(86_400) },
          { number: 2, pid: 12, tag: "v1.2.0", state: "serving", since: past(20) },
        ],
        restarts: 3,
      },
      lastPoll: { at: past(10), outcome: "unreachable", error: "no response within 30 s" },
      rateLimits: [
        { host: "api.github.com", remaining: 5, limit: 60, resetAt: future(1_200) },
        { host: "ghcr.io", remaining: 6, limit: 60, resetAt: future(1_200) },
      ],
      waiting: [{ tag: "v1.3.0", why: "pinned", reason: "pinned to v1.2.0 by alice" }],
      pinned: { ...said, tag: "v1.2.0", message: "until monday" },
      paused: said,
      skipped: [{ ...said, tag: "v1.1.0", andEarlier: true }],
      order: { ...said, kind: "rollback", tag: "v1.1.0" },
      signers: [{ kind: "ssh", signer: "SHA256:key", tag: "v1.0.0", at: past(60) }],
      bad: [{ tag: "v1.1.5", reason: "it exited with exit code 3", at: past(60) }],
    });
    const expected = [
      /^app \(server\) in \/opt\/app$/,
      /^ {2}version +v1\.2\.0, since 2026-0.* \(3 min ago\)$/,
      /^ {2}state +serving, baking v1\.2\.0$/,
      /^ {2}activity +baking v1\.2\.0 for 20 s$/,
      /^ {2}generations +2: v1\.2\.0, serving, pid 12, started 20 s ago$/,
      /^ {15}1: v1\.1\.0, standby, pid 11, started 24 h ago$/,
      /^ {2}restarts +3 since dewy started$/,
      /^ {2}last poll +10 s ago, the registry did not answer: no response within 30 s$/,
      /^ {2}rate limit +5 of 60 requests left at api\.github\.com, reset in 20 min$/,
      /^ {2}next poll +in 20 s$/,
      /^ {2}waiting +v1\.3\.0: pinned to v1\.2\.0 by alice$/,
      /^ {2}order +rollback v1\.1\.0, asked for by alice, 2 h ago$/,
      /^ {2}pinned +to v1\.2\.0, by alice, 2 h ago: "until monday"$/,
      /^ {2}paused +by alice, 2 h ago$/,
      /^ {2}skipped +v1\.1\.0 and earlier, by alice, 2 h ago$/,
      /^ {2}bad +v1\.1\.5: it exited with exit code 3 \(1 min ago\)$/,
      /^ {2}registry +ghr:\/\/owner\/repo$/,
      /^ {2}signer +SHA256:key, since v1\.0\.0$/,
      /^ {2}dewy +1\.2\.3, pid 7, started 2 days ago$/,
      /^$/,
    ];
    expect(lines).toEqual(expected.map((line) => expect.stringMatching(line)));
  });

  test("say how many replicas serve", () => {
    const replica = { container: "app-1-0", tag: "v1.2.0", state: "serving" };
    const lines = details({
      mode: "container",
      app: {
        health: "degraded",
        replicas: [{ ...replica, address: "127.0.0.1:32768", since: past(60) }],
        wanted: 2,
      },
    });
    expect(lines.join("\n")).toContain("degraded (1 of 2)");
    expect(lines.join("\n")).toContain(
      "app-1-0: v1.2.0, serving, 127.0.0.1:32768, started 1 min ago",
    );
  });

  test("say what the next start does with what was interrupted", () => {
    const status: InstanceStatus = {
      ...statusOf({ phase: { name: "interrupted", tag: "v1.3.0" } }),
      order: { user: "bob", at: past(60), kind: "deploy", tag: "v1.3.0" },
    };
    const { process: _process, app: _app, ...stopped } = status;
    const text = statusDetails(stopped, NOW, terminalStyle({ isTerminal: false }, {}));
    expect(text).toContain("switched to v1.3.0; its next start finishes or undoes that");
    expect(text).toContain("by bob, 1 min ago; carried out at the next start");
  });

  test("say which notifiers fail, since when, and what that means", () => {
    const slack = { notifier: "slack://deploy", state: "fine", waiting: 0, lost: 0 } as const;
    const discord = {
      notifier: "discord+https://discord.com/…",
      state: "failing",
      error: "Cannot reach discord.com: connection refused",
      since: past(180),
      retryAt: future(32),
      waiting: 2,
      lost: 1,
    } as const;
    const text = details({ notifiers: [slack, discord] }).join("\n");
    expect(text).toMatch(/ notifiers +slack:\/\/deploy: ok\n/);
    expect(text).toContain(
      "discord+https://discord.com/…: failing for 3 min: Cannot reach discord.com: connection refused, " +
        "next attempt in 32 s; 2 waiting; 1 given up since dewy started",
    );
    const row = statusTable([statusOf({ notifiers: [slack, discord] })], NOW, PLAIN);
    expect(row).toContain("discord+https://discord.com/… fails");
    expect(row).not.toContain("slack");
  });

  test("shows until when no deploy window is open", () => {
    const opensAt = new Date(NOW + 3 * 3_600_000).toISOString();
    expect(details({ windowOpensAt: opensAt }).join("\n")).toMatch(
      / window +closed until .* \(in 3 h\)/,
    );
    expect(details({}).join("\n")).not.toContain("window");
  });

  test("show how long ago the listing changed, and whether that is too long", () => {
    const listing = { changedAt: past(3 * 86_400) };
    expect(details({ listing }).join("\n")).toMatch(/ listing +last changed 3 days ago\n/);
    const stale = { listing: { ...listing, maxMs: 3_600_000 } };
    expect(details(stale).join("\n")).toContain(
      "last changed 3 days ago; the registry may be frozen: --max-staleness is 1h0m0s",
    );
    const row = (status: Partial<InstanceStatus>) => statusTable([statusOf(status)], NOW, PLAIN);
    expect(row(stale)).toContain("the registry may be frozen");
    expect(row({ listing: { ...listing, maxMs: 4 * 86_400_000 } })).not.toContain("frozen");
  });

  test("show the highest version if another one is live", () => {
    const live = { tag: "v1.0.0", directory: "/d" };
    expect(details({ live, highest: "v2.0.0" }).join("\n")).toMatch(/ highest +v2.0.0\n/);
    expect(details({ live, highest: "v1.0.0" }).join("\n")).not.toContain("highest");
  });

  test("show no control characters of others", () => {
    const lines = details({ waiting: [{ tag: "v\u001b[2J", why: "pinned", reason: "a\nb" }] });
    expect(lines.join("")).not.toContain("\u001b");
    expect(lines.join("\n")).toContain("v\\x1b[2J: a\\nb");
  });
});

describe("the table", () => {
  const table = (...list: Partial<InstanceStatus>[]): string =>
    statusTable(list.map(statusOf), NOW, terminalStyle({ isTerminal: false }, {}));

  test("names the directories of instances with the same name", () => {
    expect(table({ directory: "/opt/a" }, { directory: "/opt/b" })).toContain("/opt/b");
    expect(table({ name: "a" }, { name: "b" })).not.toContain("DIRECTORY");
  });

  test("shows the addresses of status pages, if there are any", () => {
    const admin = "http://127.0.0.1:17539";
    expect(table({ admin }, { name: "b" })).toMatch(
      /STATUS PAGE[\s\S]* http:\/\/127\.0\.0\.1:17539$/m,
    );
    expect(table({}, { name: "b" })).not.toContain("STATUS PAGE");
  });

  test("names a bad version only while it is news", () => {
    const bad = (at: string) => [{ tag: "v1.3.0", reason: "it exited", at }];
    const live = { tag: "v1.2.0", directory: "d1", since: past(3 * 86_400) };
    expect(table({ live, bad: bad(past(60)) })).toContain("v1.3.0 is bad");
    expect(table({ live, bad: bad(past(2 * 86_400)) })).toContain("v1.3.0 is bad");
    expect(table({ live, bad: bad(past(9 * 86_400)) })).not.toContain("v1.3.0");
  });
});
