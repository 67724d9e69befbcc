import { describe, expect, test } from "vitest";
import { RemoteError, VerificationError } from "../../src/core/error.ts";
import type { Proof } from "../../src/core/proof.ts";
import type { Candidate, DeployContext } from "../../src/deploy/deployer.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { carryOutDeploy } from "../../src/deploy/orders.ts";
import { type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";
import { tick } from "../../src/deploy/tick.ts";
import { acceptTag, isAccepted, replacedBefore } from "../../src/deploy/trust.ts";
import { parsePolicy } from "../../src/verify/policy.ts";
import {
  candidate,
  deploy,
  eventsOf,
  never,
  ready,
  type TestWorld,
  testRegistry,
  testWorld,
} from "./world.ts";

const ALICE = { user: "alice", message: "the key was replaced" };
const policyOf = { preRelease: false, calver: "", constraint: "", slot: "", artifact: "" };

/** Deployed versions have these signers of kind ssh, and their tag as digest. */
function world(flags: readonly string[], signers: Readonly<Record<string, readonly string[]>>) {
  const made = testWorld(testRegistry());
  const { deployer } = made.io;
  const context: DeployContext = {
    ...made.io,
    verify: parsePolicy(flags),
    deployer: {
      ...deployer,
      stage: (found, signal, record) => {
        const { tag } = found.release;
        const proofs = (signers[tag] ?? []).map(
          (signer): Proof => ({ kind: "ssh", evidence: "app.sig", signer }),
        );
        const digest = `sha256:${tag}`;
        return deployer.stage(found, signal, (staged) => record({ ...staged, digest, proofs }));
      },
    },
  };
  return { ...made, context, deploy: (tag: string) => deploy(candidate(tag), context, never()) };
}

const trusted = ({ state }: Pick<TestWorld, "state">) =>
  state().signers?.map(({ signer, tag }) => `${signer} since ${tag}`);

describe("auto", () => {
  test("remembers the signers of the first verified version, and no later ones", async () => {
    const made = world([], { "v1.1.0": ["A"], "v1.2.0": ["A", "B"] });
    await made.deploy("v1.0.0");
    expect(trusted(made)).toBeUndefined();
    await made.deploy("v1.1.0");
    await made.deploy("v1.2.0");
    expect(trusted(made)).toEqual(["A since v1.1.0"]);
    expect(eventsOf(made.events, "signer-trusted")).toEqual([
      { type: "signer-trusted", tag: "v1.1.0", identity: "A", operator: undefined },
    ]);
  });

  test("remembers no signer of a version that fails", async () => {
    const made = world([], { "v1.0.0": ["A"] });
    made.fail.verify = new Error("it does not start");
    await expect(made.deploy("v1.0.0")).rejects.toThrow("it does not start");
    expect(trusted(made)).toBeUndefined();
  });

  test("the signer of an accepted version replaces the previous one, once", async () => {
    const made = world([], { "v1.0.0": ["A"], "v2.0.0": ["B"], "v3.0.0": ["C"] });
    const accept = (tag: string) => made.context.store.update((s) => acceptTag(s, tag, ALICE, 0));
    await made.deploy("v1.0.0");
    await accept("v2.0.0");
    await made.deploy("v2.0.0");
    expect(trusted(made)).toEqual(["B since v2.0.0"]);
    expect(eventsOf(made.events, "signer-trusted").at(-1)).toMatchObject({
      identity: "B",
      operator: ALICE,
    });
    await accept("v3.0.0");
    await made.deploy("v3.0.0");
    await made.deploy("v2.0.0");
    expect(trusted(made)).toEqual(["C since v3.0.0"]);
  });

  test("an accepted version without a signature changes no signer", async () => {
    const made = world([], { "v1.0.0": ["A"] });
    await made.deploy("v1.0.0");
    await made.context.store.update((state) => acceptTag(state, "v2.0.0", ALICE, 0));
    await made.deploy("v2.0.0");
    expect(trusted(made)).toEqual(["A since v1.0.0"]);
  });

  test("an acceptance holds for the bytes that it was used for, until it is renewed", async () => {
    const made = world([], {});
    await made.context.store.update((state) => acceptTag(state, "v1.0.0", ALICE, 0));
    expect(isAccepted(made.state(), "v1.0.0", "sha256:any")).toBe(true);
    expect(isAccepted(made.state(), "v1.0.1", "sha256:any")).toBe(false);
    await made.deploy("v1.0.0");
    expect(isAccepted(made.state(), "v1.0.0", "sha256:v1.0.0")).toBe(true);
    expect(isAccepted(made.state(), "v1.0.0", "sha256:other")).toBe(false);
    const renewed = acceptTag(made.state(), "v1.0.0", ALICE, 0);
    expect(isAccepted(renewed, "v1.0.0", "sha256:other")).toBe(true);
  });

  test("stages a version again if its signer is not the one that is remembered since", async () => {
    const made = world([], { "v1.0.0": ["A"], "v2.0.0": ["B"] });
    made.fail.activate = new Error("the disk is full");
    await expect(made.deploy("v2.0.0")).rejects.toThrow("the disk is full");
    delete made.fail.activate;
    await made.deploy("v1.0.0");
    await made.deploy("v2.0.0");
    expect(made.steps.filter((step) => step === "stage v2.0.0")).toHaveLength(2);
  });
});

describe("with rules", () => {
  test("remembers no signer", async () => {
    const made = world(["ssh=FILE"], { "v1.0.0": ["A"] });
    await made.deploy("v1.0.0");
    expect(trusted(made)).toBeUndefined();
  });

  test("stages a version again that was staged under another policy", async () => {
    const made = world(["ssh=FILE"], { "v1.0.0": ["A"] });
    made.fail.activate = new Error("the disk is full");
    const attempt = (flags: readonly string[]) => {
      const context = { ...made.context, verify: parsePolicy(flags) };
      return expect(deploy(candidate("v1.0.0"), context, never())).rejects.toThrow("is full");
    };
    await attempt([]);
    await attempt(["ssh=FILE"]);
    await attempt(["ssh=FILE"]);
    expect(made.steps.filter((step) => step === "stage v1.0.0")).toHaveLength(2);
  });
});

test("an unverified version is retried with backoff, and not marked bad", async () => {
  const made = testWorld(testRegistry(ready("v1.1.0"), ready("v1.0.0")));
  const { io, fail, registry } = made;
  const failed = new FailedCandidates({ intervalMs: 1_000, clock: io.clock, random: () => 0.5 });
  const poll = () => tick({ policy: { ...policyOf, acceptChanged: [] }, failed }, io, never());
  registry.answers = [ready("v1.0.0")];
  await poll();
  registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
  fail.stage = new VerificationError("it has no signature");
  const first = await poll();
  expect(first.failure).toMatchObject({
    tag: "v1.1.0",
    error: { code: "unverified", fault: "remote", retryable: true },
    retryAt: expect.any(Number),
  });
  expect((await poll()).failedWith).toBe("Cannot deploy v1.1.0: it has no signature");
  expect(made.state().bad).toEqual([]);
  expect(made.live()).toBe("d1");
  delete fail.stage;
  await io.clock.sleep(2_000);
  expect((await poll()).deployed).toBe(true);
});

describe("an earlier version that is published again", () => {
  const release = (tag: string, digest: string) => ({
    ...{ id: tag, tag, artifact: "app", directory: `d-${tag}`, stagedAt: "" },
    digest: `sha256:${digest}`,
  });
  const of = (...staged: readonly [string, string][]): DeployState => ({
    ...EMPTY_STATE,
    releases: staged.map(([tag, digest]) => release(tag, digest)),
    known: staged.map(([tag, digest]) => release(tag, digest)),
  });
  const earlier = (state: DeployState, live: string, digest: string, tag = "v2.0.0") =>
    replacedBefore(state, `d-${live}`, { tag, digest: `sha256:${digest}` });

  test("is found by its bytes, if another one has replaced it", () => {
    const state = of(["v1.0.0", "a"], ["v1.1.0", "b"]);
    expect(earlier(state, "v1.1.0", "a")).toBe("v1.0.0");
    expect(earlier({ ...state, releases: state.releases.slice(1) }, "v1.1.0", "a")).toBe("v1.0.0");
    expect(earlier(state, "v1.1.0", "c")).toBeUndefined();
    expect(earlier(state, "gone", "a")).toBeUndefined();
  });

  test("is found if the registry states other digests", () => {
    const state = of(["v1.0.0", "a"], ["v1.1.0", "b"]);
    const verified = { policy: "auto", digest: "sha256:a", signers: [] };
    const releases = state.releases.map((one) =>
      one.tag === "v1.0.0" ? { ...one, digest: "md5:a", verified } : one,
    );
    expect(earlier({ ...state, releases, known: [] }, "v1.1.0", "a")).toBe("v1.0.0");
  });

  test("is not one that runs, such as a release candidate that becomes the release", () => {
    expect(earlier(of(["v2.0.0-rc.1", "a"]), "v2.0.0-rc.1", "a")).toBeUndefined();
    expect(earlier(of(["v1.0.0", "a"], ["v1.1.0", "b"]), "v1.0.0", "a")).toBeUndefined();
  });

  test("is not one that has not been replaced, because it was staged later", () => {
    const state = of(["v1.0.0", "a"], ["v1.1.0", "b"]);
    expect(earlier(state, "v1.0.0", "b")).toBeUndefined();
  });

  test("is not the same version, which an operator goes back to", () => {
    expect(earlier(of(["v1.0.0", "a"], ["v1.1.0", "b"]), "v1.1.0", "a", "v1.0.0")).toBe(undefined);
  });
});

test("a rate limit of the service that was asked sets the retry", async () => {
  const made = testWorld(testRegistry(ready("v1.0.0")));
  const { io } = made;
  const failed = new FailedCandidates({ intervalMs: 1_000, clock: io.clock, random: () => 0 });
  const cause = new RemoteError("429", { retryAfterMs: 600_000 });
  made.fail.stage = new VerificationError("it cannot be evaluated now", { cause });
  const policy = { ...policyOf, acceptChanged: [] };
  const { failure } = await tick({ policy, failed }, io, never());
  expect(failure?.retryAt).toBe(io.clock.now() + 600_000);
});

describe("an operator's deploy", () => {
  const carryOut = (context: DeployContext, tag: string) => {
    const order = {
      id: "1",
      user: "alice",
      at: "2026-01-01T00:00:00Z",
      kind: "deploy",
      tag,
    } as const;
    const signals = { signal: never(), stop: never() };
    return carryOutDeploy(order, { context, ...signals, progress() {}, background() {} });
  };

  test("is verified with the files of the release", async () => {
    const files = [{ name: "app.sig", url: "test://app.sig" }];
    const made = testWorld(testRegistry({ kind: "ready", ...candidate("v1.0.0"), files }));
    const { deployer } = made.io;
    const staged: Candidate[] = [];
    const stage: typeof deployer.stage = (found, ...rest) => {
      staged.push(found);
      return deployer.stage(found, ...rest);
    };
    await carryOut({ ...made.io, deployer: { ...deployer, stage } }, "v1.0.0");
    expect(staged).toMatchObject([{ files }]);
  });

  test("takes an unverified version from the disk only if it has served here before", async () => {
    const made = world([], { "v1.0.0": ["A"] });
    const { registry, fail } = made;
    await made.deploy("v0.9.0");
    await made.deploy("v1.0.0");
    fail.activate = new Error("the disk is full");
    await expect(made.deploy("v1.1.0")).rejects.toThrow("the disk is full");
    delete fail.activate;
    registry.resolve = async () => {
      throw new RemoteError("503");
    };
    const strict: DeployContext = { ...made.context, verify: parsePolicy(["ssh=FILE"]) };
    await expect(carryOut(strict, "v1.1.0")).rejects.toThrow("503");
    expect(await carryOut(strict, "v0.9.0")).toMatchObject({ isNew: true });
  });
});
