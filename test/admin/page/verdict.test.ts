import { describe, expect, test } from "vitest";
import { type Verdict, verdictOf } from "../../../src/admin/page/verdict.ts";
import type { AppStatus, InstanceStatus } from "../../../src/control/protocol.ts";
import { isoAgo, status } from "./views.ts";

const MINUTE = 60_000;
const by = { user: "alice", at: isoAgo(MINUTE) };

const app = (health: AppStatus["health"], more: Partial<AppStatus> = {}): AppStatus => ({
  health,
  ...more,
});
const poll = (outcome: string): Partial<InstanceStatus> => ({
  lastPoll: { at: isoAgo(MINUTE), outcome },
});
const phase = (name: string, tag = "v1.5.0"): Partial<InstanceStatus> => ({ phase: { name, tag } });
const replica = (state: string) => ({ container: state, tag: "v1.4.2", state });

describe("the verdict", () => {
  test.each<[Partial<InstanceStatus>, Verdict["tone"], string]>([
    [{}, "good", "Serving"],
    [{ ...poll("fine") }, "good", "Serving"],
    [{ ...poll("waiting") }, "good", "Serving"],
    [{ mode: "assets", app: undefined }, "good", "Deployed"],
    [{ live: undefined }, "calm", "Nothing deployed yet"],
    [{ live: undefined, ...phase("stage") }, "busy", "Deploying v1.5.0"],
    [{ app: app("starting") }, "busy", "Starting"],
    [{ app: app("finished") }, "calm", "Finished"],
    [{ app: app("restarting") }, "bad", "Restarting"],
    [{ app: app("down") }, "bad", "Down"],
    [
      { app: app("degraded", { wanted: 3, replicas: [replica("serving"), replica("starting")] }) },
      "warn",
      "Degraded: 1 of 3 replicas",
    ],
    [phase("stage"), "busy", "Serving, deploying v1.5.0"],
    [phase("bake"), "busy", "Serving, deploying v1.5.0"],
    [phase("polling"), "good", "Serving"],
    [
      { ...phase("verify", "v1.4.1"), order: { ...by, kind: "rollback", tag: "v1.4.1" } },
      "busy",
      "Serving, rolling back to v1.4.1",
    ],
    [{ app: app("down"), ...phase("verify") }, "bad", "Down, deploying v1.5.0"],
    [{ app: app("finished"), paused: by }, "warn", "Finished, paused"],
    [poll("unreachable"), "warn", "Serving, registry unreachable"],
    [poll("failed"), "warn", "Serving, last deploy failed"],
    [{ paused: by }, "warn", "Serving, paused"],
    [{ pinned: { ...by, tag: "v1.4.2" } }, "good", "Serving, pinned to v1.4.2"],
    [
      { app: app("finished"), pinned: { ...by, tag: "v1.4.2" } },
      "calm",
      "Finished, pinned to v1.4.2",
    ],
    [{ paused: by, ...phase("after") }, "busy", "Serving, deploying v1.5.0"],
    [phase("stopping"), "calm", "Stopping"],
    [{ process: undefined }, "calm", "dewy does not run"],
    [{ problem: "timeout" }, "bad", "dewy does not answer"],
  ])("of %j is %s: %s", (changes, tone, text) => {
    expect(verdictOf(status(changes))).toEqual({ tone, text });
  });
});
