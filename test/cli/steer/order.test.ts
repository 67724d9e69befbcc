import { describe, expect, test } from "vitest";
import type { CommandContext } from "../../../src/agent/context.ts";
import type { SteerConfig } from "../../../src/cli/flags/local.ts";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import { type Order, type Reach, runOrder, type Target } from "../../../src/cli/steer/order.ts";
import { HostError } from "../../../src/core/error.ts";
import { readConfig } from "../../support/read_config.ts";
import { type FakeProcess, fakeProcess } from "../process.ts";

const RUNNING: Target = { name: "app", directory: "/srv/app", isRunning: true };

function reachOf(parts: Partial<Reach>, target: Target = RUNNING): Reach {
  const unexpected = async (): Promise<never> => {
    throw new Error("unexpected");
  };
  return { choose: async () => target, ask: unexpected, act: unexpected, ...parts };
}

interface Result {
  code: number;
  io: FakeProcess;
}

async function order(
  reach: Reach,
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<Result> {
  const io = fakeProcess({ env });
  const parsed = parseArgv(argv);
  if (parsed.command === undefined) throw new Error("no command");
  const config = readConfig(parsed.command, parsed) as SteerConfig;
  const code = await runOrder(config, io as FakeProcess & CommandContext, reach);
  return { code, io };
}

describe("an operator's command", () => {
  test("is sent to the running dewy with the user and the message", async () => {
    const sent: Order[] = [];
    const reach = reachOf({
      ask: async (_, one) => {
        sent.push(one);
        return { text: "v1.1.0 runs again", live: "v1.1.0" };
      },
    });
    await order(reach, ["rollback", "-m", "checkout fails"], { SUDO_USER: "alice" });
    expect(sent).toMatchObject([
      { command: { command: "rollback" }, operator: { user: "alice", message: "checkout fails" } },
    ]);
    expect(sent[0]?.command).toEqual({ command: "rollback" });
  });

  test.each([
    [["rollback", "v1.0.0", "--dry-run"], { command: "rollback", tag: "v1.0.0", dryRun: true }],
    [["deploy", "1.10"], { command: "deploy", tag: "1.10" }],
    [["pin", "v1.0.0"], { command: "pin", tag: "v1.0.0" }],
    [["unpin"], { command: "unpin" }],
    [["pause"], { command: "pause" }],
    [["resume"], { command: "resume" }],
    [["skip", "v1.0.0"], { command: "skip", tag: "v1.0.0" }],
    [["unskip"], { command: "unskip" }],
    [["poll"], { command: "poll" }],
    [["restart"], { command: "restart" }],
  ])("%j is the request %j", async (argv, request) => {
    let sent: unknown;
    const reach = reachOf({
      ask: async (_, { command }) => {
        sent = command;
        return { text: "done" };
      },
    });
    await order(reach, argv);
    expect(sent).toEqual(request);
  });

  test("names its own user without sudo", async () => {
    let user = "";
    const reach = reachOf({
      ask: async (_, { operator }) => {
        user = operator.user;
        return { text: "done" };
      },
    });
    await order(reach, ["poll"]);
    expect(user).toMatch(/\S/);
  });

  test("shows progress on standard error and the outcome on standard output", async () => {
    const reach = reachOf({
      ask: async (_, { progress }) => {
        progress("v1.1.0 starting\u001b[2J");
        return { text: "v1.1.0 runs again, v1.2.0 is skipped", live: "v1.1.0" };
      },
    });
    const { code, io } = await order(reach, ["rollback"]);
    expect({ code, out: io.out(), err: io.err() }).toEqual({
      code: 0,
      out: "v1.1.0 runs again, v1.2.0 is skipped\n",
      err: "v1.1.0 starting\\x1b[2J\n",
    });
  });

  test("--json prints one object", async () => {
    const reach = reachOf({ ask: async () => ({ text: "v1.1.0 runs", live: "v1.1.0" }) });
    const { io } = await order(reach, ["deploy", "v1.1.0", "--json"]);
    expect(JSON.parse(io.out())).toEqual({
      kind: "done",
      command: "deploy",
      outcome: "done",
      name: "app",
      directory: "/srv/app",
      tag: "v1.1.0",
      live: "v1.1.0",
      message: "v1.1.0 runs",
    });
  });

  test("acts on the directory if nothing runs there", async () => {
    const acted: string[] = [];
    const reach = reachOf(
      {
        act: async ({ directory }, { command }) => {
          acted.push(`${command.command} ${directory}`);
          return { text: "paused" };
        },
      },
      { ...RUNNING, isRunning: false },
    );
    const { io } = await order(reach, ["pause", "--json"]);
    expect(acted).toEqual(["pause /srv/app"]);
    expect(JSON.parse(io.out())).toMatchObject({ outcome: "offline", live: null, tag: null });
  });

  test("fails with the error of dewy", async () => {
    const reach = reachOf({
      ask: async () => {
        throw new HostError("v1.1.0 did not become ready; v1.2.0 keeps running", {
          code: "deploy",
        });
      },
    });
    await expect(order(reach, ["rollback"])).rejects.toThrow("did not become ready");
  });

  test("Ctrl-C ends the wait, and says that dewy goes on", async () => {
    let process: FakeProcess | undefined;
    const io = fakeProcess();
    process = io;
    const reach = reachOf({
      ask: async (_, { signal }) => {
        process?.kill("SIGINT");
        return signal.throwIfAborted() as never;
      },
    });
    const config = readConfig("rollback", parseArgv(["rollback"])) as SteerConfig;
    await expect(runOrder(config, io as FakeProcess & CommandContext, reach)).rejects.toThrow(
      "Stopped by SIGINT",
    );
    expect(io.err()).toBe(
      "Stopped waiting: dewy goes on with a rollback that it has received; to look: dewy status --directory /srv/app\n",
    );
    expect(io.out()).toBe("");
  });
});

describe("a command line", () => {
  test.each([
    [["rollback", ""], "is empty"],
    [["deploy"], "needs a tag"],
    [["pin", "v1.0.0", "v1.1.0"], 'unexpected argument "v1.1.0"'],
    [["pause", "v1.0.0"], 'unexpected argument "v1.0.0"'],
    [["deploy", "v1 0"], "Invalid tag"],
    [["deploy", "v1\u001b[2J"], "Invalid tag"],
    [["deploy", "v".repeat(201)], "Invalid tag"],
    [["pause", "-m", "a\nb"], "Invalid value for --message"],
    [["pause", "-m", "x".repeat(501)], "at most 500 characters"],
    [["pause", "--dry-run"], "unknown flag --dry-run"],
    [["pause", "--name", "a", "--directory", "b"], "exclude each other"],
    [["poll", "--", "app"], "does not start a program"],
  ])("is refused: %j", async (argv, message) => {
    await expect(order(reachOf({}), argv)).rejects.toThrow(message);
  });
  test("may have a message in any language", async () => {
    const reach = reachOf({ ask: async () => ({ text: "done" }) });
    expect((await order(reach, ["pause", "-m", "Störung 決済 🔥"])).code).toBe(0);
  });
});
