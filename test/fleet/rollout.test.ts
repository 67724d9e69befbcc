import { describe, expect, test } from "vitest";
import {
  abortRollout,
  beginRollout,
  failHost,
  nextWave,
  observe,
  observedHosts,
  resumeRollout,
  type Sighting,
  type Step,
  startHost,
  stepFor,
  type Wish,
  waveHosts,
  waveMembers,
} from "../../src/fleet/rollout.ts";
import type { MemberTask, Rollout } from "../../src/fleet/types.ts";
import { compareVersions } from "../../src/version/version.ts";

const HOSTS = Array.from({ length: 20 }, (_, index) => `host-${index}`);
const REGISTRY = "ghr://acme/app";
const PLAN = {
  registry: REGISTRY,
  tag: "v2.0.0",
  waves: [{ hosts: 1 }, { percent: 10 }],
  maxFailures: 0,
};

function begun(changes: Partial<Rollout> = {}): Rollout {
  return { ...beginRollout(PLAN, HOSTS, undefined, "v1.0.0"), ...changes };
}

/** The hosts by rank. */
const [A = "", B = "", C = "", D = ""] = begun().hosts;

type Phases = Readonly<Record<string, MemberTask["phase"] | "gone" | Sighting>>;

/** All hosts are alive and wait, except as given. */
function sightings(phases: Phases = {}): Map<string, Sighting> {
  const seen = new Map<string, Sighting>(HOSTS.map((host) => [host, { isAlive: true }]));
  for (const [host, phase] of Object.entries(phases)) {
    if (typeof phase === "object") seen.set(host, phase);
    else if (phase === "gone") seen.set(host, { isAlive: false });
    else seen.set(host, { isAlive: true, task: { tag: "v2.0.0", phase } });
  }
  return seen;
}

function gone(phase: MemberTask["phase"]): Sighting {
  return { isAlive: false, task: { tag: "v2.0.0", phase } };
}

function started(rollout: Rollout, ...hosts: string[]): Rollout {
  return hosts.reduce((now, host) => startHost(now, host) ?? now, rollout);
}

describe("the beginning", () => {
  test("ranks the members, and ends with all of them", () => {
    const rollout = begun();
    expect([...rollout.hosts].sort()).toEqual([...HOSTS].sort());
    expect(rollout.waves.at(-1)).toEqual({ percent: 100 });
    expect([0, 1, 2].map((wave) => waveHosts({ ...rollout, wave }))).toEqual([1, 2, 20]);
  });

  test("does not repeat a last wave of all hosts", () => {
    const waves = [{ hosts: 1 }, { percent: 100 }];
    expect(beginRollout({ ...PLAN, waves }, HOSTS, undefined, undefined).waves).toEqual(waves);
  });

  test("remembers the version last rolled out completely", () => {
    const previous = (last: Rollout | undefined): string | undefined =>
      beginRollout({ ...PLAN, tag: "v3.0.0" }, HOSTS, last, "v1.5.0").previous;
    expect(previous(undefined)).toBe("v1.5.0");
    expect(previous(begun({ state: "done" }))).toBe("v2.0.0");
    expect(previous(begun({ state: "halted" }))).toBe("v1.0.0");
  });
});

describe("taking the version before the last wave", () => {
  test("is for the hosts of the wave", () => {
    expect(startHost(begun(), A)?.started).toEqual([A]);
    expect(startHost(begun(), B)).toBeUndefined();
    expect(startHost(begun(), "late")).toBeUndefined();
  });

  test("changes nothing for a host that has a place", () => {
    const rollout = started(begun(), A);
    expect(startHost(rollout, A)).toBe(rollout);
  });

  test("is refused once the rollout is not running", () => {
    for (const state of ["halted", "aborted", "done"] as const) {
      expect(startHost(begun({ state }), A)).toBeUndefined();
    }
  });

  test("never has more hosts on the version than the wave allows", () => {
    const withStandIn = started({ ...begun(), passed: [A] }, B);
    // The first host is back, but another has its place.
    expect(startHost({ ...withStandIn, passed: [] }, A)).toBeUndefined();
  });

  test("a host on which it failed makes room for the next rank", () => {
    const rollout = failHost(started({ ...begun(), maxFailures: 1 }, A), A, "boom");
    expect(waveMembers(rollout)).toEqual([B]);
    expect(startHost(rollout, B)?.started).toEqual([A, B]);
  });

  test("a host that vanished keeps its place until an operator resumes", () => {
    const halted = observe(started(begun(), A), sightings({ [A]: gone("baking") })).rollout;
    expect(startHost({ ...halted, state: "running" }, B)).toBeUndefined();
    expect(startHost(resumeRollout(halted), B)?.started).toEqual([A, B]);
  });
});

describe("failures", () => {
  test("beyond the limit halt the rollout, with the reason", () => {
    const rollout = failHost(started(begun(), A), A, "did not become ready");
    expect(rollout.state).toBe("halted");
    expect(rollout.reason).toBe(`failed on ${A} (did not become ready); --max-failures is 0`);
  });

  test("within the limit do not", () => {
    expect(failHost({ ...begun(), maxFailures: 1 }, A, "boom").state).toBe("running");
  });

  test("of a host that could not say so itself are taken from its record", () => {
    const seen = sightings({ [A]: "failed" });
    expect(observe(started(begun(), A), seen).rollout).toMatchObject({
      state: "halted",
      failed: [{ host: A }],
    });
  });

  test("a host that vanishes during its bake counts until it reports again", () => {
    const rollout = started({ ...begun(), maxFailures: 1, wave: 1 }, A, B);
    const seen = (phase: Sighting | "baking") => sightings({ [A]: phase, [B]: "baking" });
    const without = observe(rollout, seen(gone("baking"))).rollout;
    expect(without).toMatchObject({ lost: [A], state: "running" });
    expect(observe(without, seen("baking")).rollout.lost).toEqual([]);
  });

  test("a host that has finished its bake may vanish", () => {
    const seen = sightings({ [A]: gone("done") });
    expect(observe(started(begun(), A), seen)).toMatchObject({
      rollout: { lost: [] },
      wave: "complete",
    });
  });

  test("a forgiven host that comes back may fail again", () => {
    const halted = observe(started(begun(), A), sightings({ [A]: gone("baking") })).rollout;
    const resumed = resumeRollout(halted);
    const back = observe(resumed, sightings({ [A]: "baking" })).rollout;
    expect(back).toMatchObject({ state: "running", forgiven: [] });
    expect(failHost(back, A, "boom").state).toBe("halted");
  });

  test("their reasons are shortened", () => {
    const [failure] = failHost(begun(), A, "x".repeat(10_000)).failed;
    expect(failure?.reason.length).toBeLessThan(400);
  });
});

describe("a wave", () => {
  const wave = (rollout: Rollout, phases: Phases): string =>
    observe(rollout, sightings(phases)).wave;

  test("is complete when its host has finished the bake, and not before", () => {
    const rollout = started(begun(), A);
    expect(wave(rollout, { [A]: "deploying" })).toBe("open");
    expect(wave(rollout, { [A]: "baking" })).toBe("open");
    expect(wave(rollout, { [A]: "done" })).toBe("complete");
  });

  test("waits for all its hosts", () => {
    const rollout = started({ ...begun(), wave: 1 }, A, B);
    expect(wave(rollout, { [A]: "done", [B]: "baking" })).toBe("open");
    expect(wave(rollout, { [A]: "done", [B]: "done" })).toBe("complete");
  });

  test("waits for a host that has not taken the version yet", () => {
    expect(wave(started({ ...begun(), wave: 1 }, A), { [A]: "done", [B]: "waiting" })).toBe("open");
  });

  test.each(["gone", "held"] as const)("passes over a host that is %s", (phase) => {
    const { rollout } = observe(begun(), sightings({ [A]: phase }));
    expect(rollout.passed).toEqual([A]);
    expect(waveMembers(rollout)).toEqual([B]);
    expect(observe(rollout, sightings()).rollout.passed).toEqual([]);
  });

  test("passes over a host on which an operator has deployed the version", () => {
    const { rollout } = observe(begun(), sightings({ [A]: { isAlive: true, tag: "v2.0.0" } }));
    expect(rollout.passed).toEqual([A]);
  });

  test("does not wait for a host that is back while another has its place", () => {
    const rollout = started({ ...begun(), passed: [A] }, B);
    expect(wave(rollout, { [A]: "waiting", [B]: "done" })).toBe("complete");
  });

  test("waits while everything is held, since that may end", () => {
    const held = Object.fromEntries(HOSTS.map((host) => [host, "held" as const]));
    expect(observe(begun(), sightings(held))).toMatchObject({
      rollout: { state: "running" },
      wave: "open",
    });
  });

  test("of which no host is left halts the rollout", () => {
    const all = Object.fromEntries(HOSTS.map((host) => [host, "gone" as const]));
    expect(observe(begun(), sightings(all)).rollout).toMatchObject({
      state: "halted",
      reason: "no host of wave 1 is left that could finish its bake",
    });
  });

  test("goes on after a host that rolled back, once the rollout is resumed", () => {
    expect(wave(started(begun(), A), { [A]: "rolled-back" })).toBe("open");
  });

  test("the last one waits for hosts that joined later", () => {
    const last = { ...started(begun(), A), wave: 2 };
    const done = Object.fromEntries(HOSTS.map((host) => [host, "done" as const]));
    const late = (task: MemberTask | undefined): Sighting => ({ isAlive: true, task });
    expect(wave(last, { ...done, late: late(undefined) })).toBe("open");
    expect(wave(last, { ...done, late: late({ tag: "v2.0.0", phase: "held" }) })).toBe("complete");
    expect(wave(last, done)).toBe("complete");
  });

  test("the last one counts hosts that vanish while they take the version", () => {
    const last = { ...started(begun(), A), wave: 2 };
    expect(observe(last, sightings({ [D]: gone("deploying") })).rollout.lost).toEqual([D]);
  });

  test("reads few records before the last wave", () => {
    expect(observedHosts(begun())).toEqual([A]);
    expect(observedHosts({ ...begun(), wave: 2 })).toBeUndefined();
    // Twice as many at each evaluation, while nobody in the wave may take the version.
    expect(observedHosts(begun({ passed: [A, B] }))?.toSorted()).toEqual(
      begun().hosts.slice(0, 5).toSorted(),
    );
  });

  test("is followed by the next one, and at last by the end", () => {
    expect(nextWave(begun())).toMatchObject({ wave: 1, state: "running" });
    const last = begun({ wave: 2, next: "v3.0.0" });
    expect(nextWave(last)).toMatchObject({ state: "done", next: undefined });
  });
});

describe("an operator", () => {
  test("resumes only what is halted", () => {
    for (const state of ["running", "aborted", "done"] as const) {
      const rollout = begun({ state });
      expect(resumeRollout(rollout)).toBe(rollout);
    }
  });

  test("forgives the failures so far by resuming", () => {
    const halted = failHost(started(begun(), A), A, "boom");
    const resumed = resumeRollout(halted);
    expect(resumed).toMatchObject({ state: "running", forgiven: [A], reason: undefined });
    expect(observe(resumed, sightings()).rollout.state).toBe("running");
    expect(failHost(started(resumed, B), B, "boom").state).toBe("halted");
  });

  test("aborts what is running or halted", () => {
    expect(abortRollout(begun(), "by alice")).toMatchObject({ state: "aborted" });
    const done = begun({ state: "done" });
    expect(abortRollout(done, "by alice")).toBe(done);
  });
});

describe("a host that wants a version", () => {
  function step(rollout: Rollout | undefined, wish: Partial<Wish> = {}): Step["kind"] | string {
    const compare: Wish["compare"] = (a, b) => compareVersions(a, b);
    const whole = { host: A, registry: REGISTRY, tag: "v2.0.0", running: "v1.0.0", compare };
    const found = stepFor(rollout, { ...whole, ...wish });
    return found.kind === "instead" ? `instead ${found.tag}` : found.kind;
  }

  test("begins a rollout where none is running", () => {
    expect(step(undefined)).toBe("begin");
    for (const state of ["done", "aborted", "halted"] as const) {
      expect(step(begun({ state }), { tag: "v3.0.0" })).toBe("begin");
    }
  });

  test("takes a place in its wave, and goes once it has one", () => {
    expect(step(begun())).toBe("start");
    expect(step(started(begun(), A))).toBe("go");
    expect(step(begun(), { host: B })).toBe("wait");
  });

  test("announces itself in the last wave", () => {
    expect(step(begun({ wave: 2 }), { host: "late" })).toBe("announce");
  });

  test("goes when the rollout is done, and never while it is halted or aborted", () => {
    expect(step(begun({ state: "done" }), { host: "late" })).toBe("go");
    expect(step(started(begun(), A))).toBe("go");
    for (const state of ["halted", "aborted"] as const) {
      expect(step({ ...started(begun(), A), state })).toBe("wait");
    }
  });

  test("does not try again where the version has failed", () => {
    const rollout = failHost(started({ ...begun(), maxFailures: 1 }, A), A, "boom");
    expect(step(rollout)).toBe("wait");
    expect(step({ ...rollout, wave: 2 })).toBe("wait");
  });

  test("notes a newer version while a rollout is running", () => {
    expect(step(begun(), { tag: "v3.0.0" })).toBe("note");
    expect(step(begun({ next: "v3.0.0" }), { tag: "v3.0.0" })).toBe("wait");
    expect(step(begun({ next: "v3.0.0" }), { tag: "v3.1.0" })).toBe("note");
    expect(step(begun(), { tag: "v1.5.0" })).toBe("wait");
  });

  test("with nothing running, starts the version last rolled out completely", () => {
    const fresh = { running: undefined };
    expect(step(begun(), fresh)).toBe("instead v1.0.0");
    expect(step(begun({ state: "halted" }), fresh)).toBe("instead v1.0.0");
    expect(step(begun({ state: "halted" }), { ...fresh, tag: "v1.0.0" })).toBe("go");
    expect(step(begun({ state: "done" }), fresh)).toBe("go");
    expect(step(begun({ state: "done" }), { ...fresh, tag: "v3.0.0" })).toBe("instead v2.0.0");
  });

  test("with nothing running, and nothing rolled out yet, is as any other", () => {
    const first = begun({ previous: undefined });
    expect(step(first, { running: undefined })).toBe("start");
    expect(step(first, { running: undefined, host: C })).toBe("wait");
  });

  test("does not begin with a version that its registry offers late", () => {
    expect(step(begun({ state: "done" }), { tag: "v1.5.0" })).toBe("wait");
    // A version that was removed is gone back from.
    expect(step(begun({ state: "done" }), { tag: "v1.5.0", running: "v2.0.0" })).toBe("begin");
  });

  test("may go back to what was rolled out completely", () => {
    const halted = begun({ state: "halted" });
    expect(step(halted, { tag: "v1.0.0", running: "v2.0.0" })).toBe("go");
  });

  test("is refused in the fleet of another registry", () => {
    const found = stepFor(begun(), {
      host: A,
      registry: "ghr://acme/other",
      tag: "v2.0.0",
      running: "v1.0.0",
      compare: () => 0,
    });
    expect(found).toEqual({
      kind: "wait",
      reason: `the fleet is that of ${REGISTRY}; give this app a --fleet of its own`,
    });
  });
});
