import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CredentialError, NotFoundError, RemoteError } from "../../src/core/error.ts";
import { recover, settle } from "../../src/deploy/recover.ts";
import { ReportSchedule } from "../../src/deploy/report_schedule.ts";
import { EMPTY_STATE, type PendingReport } from "../../src/deploy/state.ts";
import { stateFile } from "../../src/host/files/state_file.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { candidate, deploy, eventsOf, never, type TestWorld, testWorld } from "./world.ts";

const DOWN = new RemoteError("Cannot PUT: HTTP 503");
const READ_ONLY = new CredentialError("Cannot PUT: HTTP 403; it takes s3:PutObject");
const MINUTE = 60_000;

const tagsOf = (world: TestWorld): string[] => world.registry.reports.map(({ tag }) => tag);
const pendingTags = (world: TestWorld): string[] =>
  (world.state().reports ?? []).map(({ tag }) => tag);
const warnings = (world: TestWorld): string[] =>
  eventsOf(world.events, "warning").map(({ message }) => message);

/** The registry was down when v1.0.0 was deployed. */
async function withPending(): Promise<TestWorld> {
  const world = testWorld();
  world.registry.reportError = DOWN;
  await deploy(candidate("v1.0.0"), world.io, never());
  world.registry.reports.length = 0;
  return world;
}

/** The same host after a restart of dewy, or after it was killed. */
function restart(world: TestWorld): void {
  world.io.reports = new ReportSchedule(() => 0.5);
}

describe("an audit record", () => {
  it("is on record before the upload, and not after it", async () => {
    const world = testWorld();
    const seen: (readonly PendingReport[] | undefined)[] = [];
    world.registry.report = async () => void seen.push(world.state().reports);
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(seen).toEqual([
      [{ id: "id-v1.0.0", tag: "v1.0.0", at: expect.any(String), nanoseconds: 500_000 }],
    ]);
    expect(world.state().reports).toBeUndefined();
    expect(eventsOf(world.events, "reported")).toHaveLength(1);
  });

  it("is on record from the commit on, so that a killed dewy does not lose it", async () => {
    const world = testWorld();
    let afterCommit: DeployStateReports;
    world.hooks.after = 0;
    const { runHook } = world.io;
    world.io.runHook = async (...call) => {
      if (call[0] === "after") afterCommit = world.state().reports;
      return runHook(...call);
    };
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(afterCommit).toMatchObject([{ tag: "v1.0.0" }]);
  });

  it("whose upload fails is retried at a later poll, with its own time", async () => {
    const world = await withPending();
    const [pending] = world.state().reports ?? [];
    expect(warnings(world)).toEqual(["Cannot leave an audit record; it will be retried"]);
    await settle(world.io, never());
    expect(tagsOf(world)).toEqual([]); // too early
    world.registry.reportError = undefined;
    await world.io.clock.sleep(2 * MINUTE);
    await settle(world.io, never());
    expect(world.registry.reports).toEqual([
      {
        id: "id-v1.0.0",
        tag: "v1.0.0",
        command: "assets",
        host: "Web-1",
        at: new Date(pending?.at ?? ""),
        nanoseconds: 500_000,
      },
    ]);
    expect(world.state().reports).toBeUndefined();
    await world.io.clock.sleep(60 * MINUTE);
    await settle(world.io, never());
    expect(tagsOf(world)).toHaveLength(1);
    expect(warnings(world)).toHaveLength(1);
  });

  it("is retried after growing pauses, or as late as the registry asks for", async () => {
    const world = await withPending();
    const triedAt: number[] = [];
    const start = world.io.clock.now();
    const poll = async (minutes: number): Promise<void> => {
      for (let minute = 0; minute < minutes; minute += 1) {
        await world.io.clock.sleep(MINUTE);
        const before = world.registry.reports.length;
        await settle(world.io, never());
        const isTried = world.registry.reports.length > before;
        if (isTried) triedAt.push((world.io.clock.now() - start) / MINUTE);
      }
    };
    await poll(20);
    expect(triedAt).toEqual([1, 3, 7, 12, 17]);
    triedAt.length = 0;
    world.registry.reportError = new RemoteError("slow down", { retryAfterMs: 30 * MINUTE });
    await poll(40);
    expect(triedAt).toEqual([22, 54]);
  });

  it("survives a restart in the state file", async () => {
    const world = await withPending();
    const store = stateFile(join(await tempDirectory(), ".dewy", "state.json"), (event) => {
      throw new Error(JSON.stringify(event));
    });
    await store.update(() => world.state());
    expect((await store.load()).reports).toEqual(world.state().reports);
  });

  it("is uploaded at the first poll after a restart", async () => {
    const world = await withPending();
    restart(world);
    world.registry.reportError = undefined;
    await recover(world.io, never());
    await settle(world.io, never());
    expect(tagsOf(world)).toEqual(["v1.0.0"]);
    expect(pendingTags(world)).toEqual([]);
  });

  it("is not sent by a poll while the deploy itself still sends it", async () => {
    const world = testWorld();
    let count = 0;
    world.registry.report = async () => {
      count += 1;
      await settle(world.io, never());
    };
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(count).toBe(1);
  });

  it("waits in order behind older ones, and all are sent in one poll", async () => {
    const world = await withPending();
    await deploy(candidate("v1.1.0"), world.io, never());
    expect(pendingTags(world)).toEqual(["v1.0.0", "v1.1.0"]);
    world.registry.reports.length = 0;
    await world.io.clock.sleep(10 * MINUTE);
    await settle(world.io, never());
    expect(tagsOf(world)).toEqual(["v1.0.0"]);
    world.registry.reports.length = 0;
    world.registry.reportError = undefined;
    await world.io.clock.sleep(10 * MINUTE);
    await settle(world.io, never());
    expect(tagsOf(world)).toEqual(["v1.0.0", "v1.1.0"]);
  });

  it("is one of the latest 20 at most", async () => {
    const world = testWorld();
    world.registry.reportError = DOWN;
    for (let minor = 0; minor < 22; minor += 1) {
      await deploy(candidate(`v1.${minor}.0`), world.io, never());
    }
    expect(pendingTags(world)).toHaveLength(20);
    expect(pendingTags(world)[0]).toBe("v1.2.0");
  });

  it("has nanoseconds of its own on machines that deploy in the same millisecond", () => {
    const reports = new ReportSchedule();
    const drawn = Array.from({ length: 100 }, () => reports.nanoseconds());
    expect(new Set(drawn).size).toBeGreaterThan(90);
    expect(drawn.every((one) => Number.isInteger(one) && one >= 0 && one < 1_000_000)).toBe(true);
  });
});

type DeployStateReports = readonly PendingReport[] | undefined;

describe("an audit record that the registry will never take", () => {
  it("is dropped, and said so once in a process and again only after a success", async () => {
    const world = testWorld();
    world.registry.reportError = READ_ONLY;
    const next = async (tag: string): Promise<void> =>
      void (await deploy(candidate(tag), world.io, never()));
    await next("v1.0.0");
    await next("v1.1.0");
    expect(eventsOf(world.events, "warning")).toEqual([
      {
        type: "warning",
        message: "No audit record is left",
        fields: { tag: "v1.0.0", error: READ_ONLY.message },
      },
    ]);
    expect(pendingTags(world)).toEqual([]);
    world.registry.reportError = undefined;
    await next("v1.2.0");
    world.registry.reportError = READ_ONLY;
    await next("v1.3.0");
    await next("v1.4.0");
    expect(warnings(world)).toHaveLength(2);
    restart(world);
    await next("v1.5.0");
    expect(warnings(world)).toHaveLength(3);
  });

  it("does not hold back the next one", async () => {
    const world = await withPending();
    await deploy(candidate("v1.1.0"), world.io, never());
    restart(world);
    world.registry.report = async ({ tag }) => {
      if (tag === "v1.0.0") throw new NotFoundError("the release is gone");
      world.registry.reports.push({ id: "", tag, command: "", host: "", at: new Date(0) });
    };
    world.registry.reports.length = 0;
    await settle(world.io, never());
    expect(tagsOf(world)).toEqual(["v1.1.0"]);
    expect(pendingTags(world)).toEqual([]);
  });

  it("is not uploaded for a release that was deleted in the meantime", async () => {
    const world = await withPending();
    restart(world);
    world.registry.reportError = undefined;
    world.registry.gone.add("v1.0.0");
    await settle(world.io, never());
    expect(tagsOf(world)).toEqual([]);
    expect(pendingTags(world)).toEqual([]);
  });

  it("is neither kept nor sent by a registry without records", async () => {
    const world = testWorld();
    const { report: _, ...registry } = world.registry;
    const io = { ...world.io, registry };
    const saved: unknown[] = [];
    const { update } = io.store;
    io.store = {
      ...io.store,
      update: async (change) => {
        const state = await update(change);
        saved.push(state.reports);
        return state;
      },
    };
    await deploy(candidate("v1.0.0"), io, never());
    expect(saved.every((reports) => reports === undefined)).toBe(true);
    expect(eventsOf(world.events, "reported")).toEqual([]);
  });

  it("is dropped if dewy now uses a registry without records", async () => {
    const world = await withPending();
    restart(world);
    const { report: _, ...registry } = world.registry;
    await settle({ ...world.io, registry }, never());
    expect(pendingTags(world)).toEqual([]);
    expect(eventsOf(world.events, "reported")).toEqual([]);
  });
});

describe("the report of a failed deploy", () => {
  it("is kept and retried with its error, like an audit record", async () => {
    const world = testWorld();
    world.registry.reportError = DOWN;
    world.fail.stage = new Error("no space left");
    await deploy(candidate("v1.0.0"), world.io, never()).catch(() => {});
    expect(world.state().reports).toMatchObject([
      { tag: "v1.0.0", error: expect.stringContaining("no space left") },
    ]);
    world.registry.reportError = undefined;
    world.registry.reports.length = 0;
    restart(world);
    await settle(world.io, never());
    expect(world.registry.reports).toMatchObject([
      { tag: "v1.0.0", error: expect.stringContaining("no space left") },
    ]);
    expect(eventsOf(world.events, "reported")).toEqual([]);
    expect(world.state()).toEqual({ ...EMPTY_STATE, reports: undefined });
  });

  it("that needs no upload does not repeat the warning about audit records", async () => {
    const world = testWorld();
    world.registry.report = async ({ error }) => {
      if (error === undefined) throw READ_ONLY;
    };
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.stage = new Error("no space left");
    await deploy(candidate("v1.1.0"), world.io, never()).catch(() => {});
    delete world.fail.stage;
    await deploy(candidate("v1.2.0"), world.io, never());
    expect(warnings(world)).toEqual(["No audit record is left"]);
  });
});

it("a poll whose retry is interrupted because dewy stops keeps the report", async () => {
  const world = await withPending();
  restart(world);
  const stop = new AbortController();
  world.registry.report = (_, { signal } = {}) => {
    stop.abort();
    return new Promise((_resolve, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
  };
  await settle(world.io, stop.signal);
  expect(pendingTags(world)).toEqual(["v1.0.0"]);
});
