import { describe, expect, test } from "vitest";
import type { CommandContext } from "../../../src/agent/context.ts";
import type { CacheDriver } from "../../../src/cache/types.ts";
import { readFleetCommand } from "../../../src/cli/flags/fleet_command.ts";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import { runFleet } from "../../../src/cli/fleet/command.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { ConfigError, IntegrityError, NotFoundError } from "../../../src/core/error.ts";
import { memberKey, rolloutKey } from "../../../src/fleet/records.ts";
import type { Member, Rollout } from "../../../src/fleet/types.ts";
import { type MemoryCache, memoryCache, unreachable } from "../../fakes/memory_cache.ts";
import { fakeProcess } from "../process.ts";

interface Fleet {
  cache: MemoryCache;
  /** Runs `dewy fleet <words>`. */
  run(...words: string[]): Promise<{ code: number; out: string }>;
  rollout(): Rollout;
  put(over: Partial<Rollout>): void;
}

function fleetOf(over: Partial<Rollout> | undefined, members: readonly string[] = ["a"]): Fleet {
  const cache = memoryCache();
  const driver: CacheDriver = {
    scheme: "memory",
    name: "",
    syntax: "",
    example: "",
    options: [],
    environment: [],
    parse: () => ({ name: cache.name, registryTtlMs: 0 }),
    open: () => cache,
  };
  const put = (over: Partial<Rollout>): void => {
    void cache.write(rolloutKey("web"), JSON.stringify(rolloutOf(over)));
  };
  if (over !== undefined) put(over);
  for (const host of members) {
    const member: Member = { revision: 1, host, instance: host, tag: "v1.2.0" };
    void cache.write(memberKey("web", host), JSON.stringify(member));
  }
  return {
    cache,
    run: async (name, ...words) => {
      const io = fakeProcess({ env: { SUDO_USER: "alice" } });
      const context = {
        ...io,
        clock: { ...systemClock, sleep: async () => {} },
        caches: { memory: driver },
        io: { env: io.env },
      } as unknown as CommandContext;
      const place = ["--cache", "memory://cache", "--fleet", "web"];
      const argv = parseArgv(["fleet", name ?? "", ...place, ...words]);
      const command = argv.command as "fleet status";
      const code = await runFleet(readFleetCommand(command, argv), context);
      return { code, out: io.out() };
    },
    rollout: () => JSON.parse(cache.text(rolloutKey("web")) ?? "null"),
    put,
  };
}

function rolloutOf(over: Partial<Rollout>): Rollout {
  return {
    revision: 7,
    writer: "a",
    registry: "ghr://acme/app",
    tag: "v1.3.0",
    waves: [{ hosts: 1 }, { percent: 100 }],
    maxFailures: 0,
    hosts: ["a", "b"],
    wave: 0,
    state: "running",
    passed: [],
    started: [],
    failed: [],
    lost: [],
    forgiven: [],
    ...over,
  };
}

const FAILED = {
  state: "halted",
  reason: "broken",
  failed: [{ host: "a", reason: "exit" }],
} as const;

describe("dewy fleet status", () => {
  test("shows the rollout and the hosts", async () => {
    const { code, out } = await fleetOf({}, ["a", "b", "c/d"]).run("status");
    expect(code).toBe(0);
    expect(out).toContain("rollout   v1.3.0, running\n");
    expect(out).toMatch(/^a +v1\.2\.0 +1 +waiting +just now$/m);
    expect(out).toMatch(/^c\/d +v1\.2\.0 +2 +waiting +just now$/m);
  });

  test("exits with 4 if the rollout is halted", async () => {
    const { code, out } = await fleetOf(FAILED).run("status", "--json");
    expect(code).toBe(4);
    expect(JSON.parse(out)).toMatchObject({
      rollout: { state: "halted", reason: "broken" },
      hosts: [
        { host: "a", state: "failed" },
        { host: "b", state: "gone" },
      ],
    });
  });

  test("shows hosts before the first rollout", async () => {
    const { code, out } = await fleetOf(undefined).run("status", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ rollout: null, hosts: [{ host: "a", state: "idle" }] });
  });

  test("counts a host as gone by the age of its record, although no other is newer", async () => {
    const fleet = fleetOf({});
    const state = async (...flags: string[]): Promise<string> =>
      JSON.parse((await fleet.run("status", "--json", ...flags)).out).hosts[0].state;
    expect(await state()).toBe("waiting");
    fleet.cache.options = { now: () => Date.now() + 21_000 };
    expect(await state()).toBe("waiting");
    expect(await state("--member-ttl", "20s")).toBe("gone");
  });

  test("counts a host as gone after the time that the rollout states", async () => {
    const fleet = fleetOf({ memberTtlMs: 20_000 });
    const state = async (...flags: string[]): Promise<string> =>
      JSON.parse((await fleet.run("status", "--json", ...flags)).out).hosts[0].state;
    expect(await state()).toBe("waiting");
    fleet.cache.options = { now: () => Date.now() + 21_000 };
    expect(await state("--member-ttl", "30s")).toBe("waiting");
    expect(await state()).toBe("gone");
  });

  test("leaves out records that are not those of a member", async () => {
    const fleet = fleetOf({}, ["a", "b"]);
    await fleet.cache.write(memberKey("web", "x"), "{}");
    await fleet.cache.write("fleet/web/members/notes.txt", "hello");
    const { out } = await fleet.run("status", "--json");
    expect(JSON.parse(out).hosts.map(({ host }: { host: string }) => host)).toEqual(["a", "b"]);
  });

  test("says that there is no such fleet", async () => {
    const missing = fleetOf(undefined, []).run("status");
    await expect(missing).rejects.toThrow(NotFoundError);
    await expect(missing).rejects.toThrow(
      'Cannot find a rollout of the fleet "web" in memory://cache; check --fleet and --cache',
    );
  });

  test("fails with the error of the cache", async () => {
    const fleet = fleetOf({});
    fleet.cache.options = { before: unreachable };
    await expect(fleet.run("status")).rejects.toThrow("Cannot reach the cache");
  });
});

describe("dewy fleet resume", () => {
  test("goes on with a halted rollout, and forgives its failures", async () => {
    const fleet = fleetOf(FAILED);
    const { code, out } = await fleet.run("resume", "--message", "was the network");
    expect({ code, out }).toEqual({
      code: 0,
      out: "the rollout of v1.3.0 is at wave 1 of 2 (1 of 2 hosts)\n",
    });
    expect(fleet.rollout()).toMatchObject({
      revision: 8,
      state: "running",
      forgiven: ["a"],
      reason: 'resumed by alice: "was the network"',
    });
    expect((await fleet.run("status")).out).toContain("0, at most 0, 1 more forgiven");
  });

  test("changes nothing if it is running already", async () => {
    const fleet = fleetOf({});
    expect(await fleet.run("resume")).toMatchObject({ code: 0 });
    expect(fleet.rollout().revision).toBe(7);
  });

  test.each(["done", "aborted"] as const)("refuses one that is %s", async (state) => {
    const refused = fleetOf({ state }).run("resume");
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(`it is ${state}; only a halted one can go on`);
  });

  test("says that there is no rollout", async () => {
    await expect(fleetOf(undefined).run("resume")).rejects.toThrow(NotFoundError);
  });

  test("does not replace what it cannot read", async () => {
    const fleet = fleetOf({});
    await fleet.cache.write(rolloutKey("web"), "broken");
    await expect(fleet.run("resume")).rejects.toThrow(IntegrityError);
  });
});

describe("dewy fleet abort", () => {
  test.each(["running", "halted"] as const)("ends a rollout that is %s", async (state) => {
    const fleet = fleetOf({ state, next: "v1.4.0" });
    const { code, out } = await fleet.run("abort", "--message", "wrong prices", "--json");
    expect(code).toBe(0);
    const reason = 'by alice: "wrong prices"';
    expect(JSON.parse(out)).toEqual({
      kind: "done",
      command: "fleet abort",
      fleet: "web",
      tag: "v1.3.0",
      state: "aborted",
      message: `the rollout of v1.3.0 is aborted: ${reason}`,
    });
    expect(fleet.rollout()).toMatchObject({ revision: 8, state: "aborted", reason });
    expect(fleet.rollout().next).toBeUndefined();
  });

  test("can be repeated", async () => {
    const fleet = fleetOf({});
    await fleet.run("abort", "--message", "first");
    expect(await fleet.run("abort", "--message", "second")).toMatchObject({ code: 0 });
    expect(fleet.rollout().reason).toBe('by alice: "first"');
  });

  test("refuses a rollout that is done", async () => {
    await expect(fleetOf({ state: "done" }).run("abort")).rejects.toThrow(
      "Cannot abort the rollout of v1.3.0: it is done",
    );
  });

  test("succeeds although a host changes the rollout meanwhile", async () => {
    const fleet = fleetOf({});
    let isFirst = true;
    fleet.cache.options = {
      before: (call) => {
        if (call !== "write" || !isFirst) return;
        isFirst = false;
        fleet.put({ started: ["a"], revision: 8 });
      },
    };
    expect(await fleet.run("abort")).toMatchObject({ code: 0 });
    expect(fleet.rollout()).toMatchObject({ revision: 9, state: "aborted", started: ["a"] });
  });

  test("gives up if hosts change it all the time", async () => {
    const fleet = fleetOf({});
    let isOwn = false;
    fleet.cache.options = {
      before: (call) => {
        if (call !== "write" || isOwn) return;
        isOwn = true;
        fleet.put({});
        isOwn = false;
      },
    };
    await expect(fleet.run("abort")).rejects.toThrow("hosts keep changing it; try again");
  });

  test("removes a record that nobody can read", async () => {
    const fleet = fleetOf({});
    await fleet.cache.write(rolloutKey("web"), "broken");
    expect(await fleet.run("abort")).toEqual({
      code: 0,
      out: "removed a record that was not a rollout\n",
    });
    expect(fleet.cache.text(rolloutKey("web"))).toBeUndefined();
  });
});

test.each([
  ["fleet status --fleet web", "--cache is not set; for example: dewy fleet status --cache"],
  ["fleet abort --cache s3://a/b", "--fleet is not set; for example: dewy fleet abort"],
  [
    "fleet resume x --cache s3://a/b --fleet web",
    'unexpected argument "x" for "dewy fleet resume"',
  ],
  ["fleet status --cache s3://a/b --fleet web --message x", "unknown flag --message"],
  ["fleet", "choose one of: fleet status, fleet resume, fleet abort"],
  ["fleet halt", "choose one of: fleet status, fleet resume, fleet abort"],
])("`dewy %s` is refused", (line, message) => {
  const read = (): unknown => {
    const argv = parseArgv(line.split(" "));
    return readFleetCommand(argv.command as "fleet status", argv);
  };
  expect(read).toThrow(message);
});
