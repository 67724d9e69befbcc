// The same attacks on images: what is pulled is what was signed.
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { runAgent } from "../../src/agent/agent.ts";
import { loadConfigured } from "../../src/agent/open_configured.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { readContainer } from "../../src/container/config.ts";
import { dryDeployer } from "../../src/container/supervision.ts";
import { openImageVerification } from "../../src/container/verification.ts";
import { findRelease } from "../../src/deploy/state.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { hostPlatform } from "../../src/host/platform.ts";
import { isImageRegistry } from "../../src/registries/oci/image_registry.ts";
import { type FakeEngine, fakeEngine } from "../fakes/engine.ts";
import { attachBundle, attachSignatures, signImage } from "../fakes/image_signatures.ts";
import { errorOf, type FakeOci, fakeOci } from "../fakes/oci.ts";
import { type BundleJson, type FakeSigstore, simplePayload, WORKFLOW } from "../fakes/sigstore.ts";
import { type Machine, machine, type Outcome, outcomeOf, type Run } from "./machine.ts";
import { makeSigners, policy, type Rule, type Signers } from "./signers.ts";

const NEW = "v1.2.0";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const { arch } = hostPlatform();
const DAY_MS = 86_400_000;

let signers: Signers;
beforeAll(async () => {
  signers = await makeSigners();
});

interface Scene {
  oci: FakeOci;
  engine: FakeEngine;
  host: Machine;
}

interface Threat {
  name: string;
  outcome: Outcome;
  error: RegExp;
  rule?: Rule;
  flags?: readonly string[];
  isUpdated?: true;
  attack(scene: Scene): Promise<unknown>;
}

/** Pushes an image that the engine can pull; returns its digest. */
function push({ oci, engine }: Pick<Scene, "oci" | "engine">, tag: string, salt = tag): string {
  const digest = oci.push(tag, { salt });
  engine.publish(`registry.example/o/app@${digest}`);
  return digest;
}

type Signer = Parameters<FakeSigstore["signFile"]>[1];

async function sign(oci: FakeOci, digest: string, by = signers.ours, signer?: Signer) {
  await attachSignatures(oci.publisher, digest, [await signImage(by, digest, signer)]);
}

async function release(scene: Scene, tag: string, rule?: Rule): Promise<void> {
  const digest = push(scene, tag);
  if (rule !== "key") return sign(scene.oci, digest, signers.ours, subjectFor(tag));
  const payload = simplePayload(digest);
  const bundle = await signers.ours.signFileWith(signers.key, payload);
  await attachSignatures(scene.oci.publisher, digest, [{ payload, bundle }]);
}

const subjectFor = (tag: string): Signer => ({ subject: `${WORKFLOW}@refs/tags/${tag}` });

/** Pushes an image of the attacker's with this signature. */
function evilSigned(
  signature: (digest: string) => Promise<{ payload: string; bundle: BundleJson }>,
) {
  return async (scene: Scene): Promise<void> => {
    const digest = push(scene, NEW, "evil");
    await attachSignatures(scene.oci.publisher, digest, [await signature(digest)]);
  };
}

const THREATS: readonly Threat[] = [
  {
    name: "a replaced image",
    outcome: "unverified",
    error: /Cannot verify .*v1\.2\.0.* with sigstore: the registry has no signature for it/,
    async attack(scene) {
      await release(scene, NEW);
      push(scene, NEW, "evil");
    },
  },
  {
    name: "a replaced signature",
    outcome: "unverified",
    error: /its log is not in the trusted root/,
    attack: evilSigned((digest) => signImage(signers.theirs, digest)),
  },
  {
    name: "the signature of another image by the same signer",
    outcome: "unverified",
    error: /sha256-\S+\.sig: the signature is of sha256:0{64}/,
    attack: evilSigned(() => signImage(signers.ours, `sha256:${"0".repeat(64)}`)),
  },
  {
    name: "a signature under the payload of another image",
    outcome: "unverified",
    error: /sha256-\S+\.sig: the log entry is about other content/,
    attack: evilSigned(async (digest) => {
      const { bundle } = await signImage(signers.ours, `sha256:${"0".repeat(64)}`);
      return { payload: simplePayload(digest), bundle };
    }),
  },
  {
    name: "an old signed image, published again as the newest",
    outcome: "unverified",
    isUpdated: true,
    error: /it is v1\.0\.0 again, which was replaced here since;.*dewy trust accept v1\.2\.0/,
    attack: async ({ oci }) => oci.tag(NEW, digestOf(oci, "v1.0.0")),
  },
  {
    name: "a deleted newest version",
    outcome: "held",
    isUpdated: true,
    error: /^older than v1\.1\.0, the highest version deployed here; only dewy deploy v1\.0\.0/,
    attack: async ({ oci }) => oci.tag("v1.1.0", undefined),
  },
  {
    name: "an absurd version number",
    outcome: "held",
    flags: ["--confirm-major"],
    error: /^more than one major version above v1\.0\.0.*; dewy deploy v900\.0\.0 confirms it/,
    attack: (scene) => release(scene, "v900.0.0"),
  },
  {
    name: "a frozen listing",
    outcome: "warned",
    flags: ["--max-staleness", "168h"],
    error: /^Listing of the registry unchanged for too long/,
    attack: ({ host }) =>
      host.changeState((state) => {
        const changedAt = new Date(Date.now() - 8 * DAY_MS).toISOString();
        return { ...state, listing: state.listing && { ...state.listing, changedAt } };
      }),
  },
  {
    name: "a stripped signature",
    outcome: "unverified",
    error: /the registry has no signature for it; sign it in CI: cosign sign --yes IMAGE@sha256:/,
    attack: async (scene) => void push(scene, NEW, "evil"),
  },
  {
    name: "a changed key",
    outcome: "unverified",
    rule: "key",
    error: /sha256-\S+\.sig: the log entry is about another certificate or key/,
    attack: evilSigned(async (digest) => {
      const payload = simplePayload(digest);
      return { payload, bundle: await signers.ours.signFileWith(signers.otherKey, payload) };
    }),
  },
  {
    name: "an attestation that does not list the image",
    outcome: "unverified",
    error: /the attestation is about other files/,
    async attack(scene) {
      const digest = push(scene, NEW, "evil");
      const others = [{ name: "registry.example/o/app", sha256: "0".repeat(64) }];
      const bundle = await signers.ours.attest(others);
      await attachBundle(scene.oci.publisher, digest, bundle);
    },
  },
  {
    name: "an expired certificate",
    outcome: "unverified",
    rule: "late",
    error: /certificate is not valid or expired at the specified date/,
    attack: evilSigned((digest) => signImage(signers.late, digest)),
  },
  {
    name: "the wrong workflow",
    outcome: "unverified",
    error: /it is signed by \S+\/nightly\.yml@refs\/tags\/v1\.2\.0, not by \S+\/release\.yml/,
    attack: evilSigned((digest) => {
      const subject = `${WORKFLOW.replace("release", "nightly")}@refs/tags/${NEW}`;
      return signImage(signers.ours, digest, { subject });
    }),
  },
  {
    name: "the wrong repository",
    outcome: "unverified",
    error: /it is signed by https:\/\/github\.com\/mallory\/app\S+, not by \S+\/acme\/app\//,
    attack: evilSigned((digest) => {
      const repository = "https://github.com/mallory/app";
      const subject = `${repository}/.github/workflows/release.yml@refs/tags/${NEW}`;
      return signImage(signers.ours, digest, { subject, repository });
    }),
  },
];

async function running(rule?: Rule, isUpdated?: boolean): Promise<Scene> {
  const oci = fakeOci({ referrers: 10 });
  const engine = fakeEngine();
  onTestFinished(() => engine.close());
  const courier = { url: "img://registry.example/o/app", env: {}, fetch: oci.fetch };
  const host = await machine(courier, runsImages(engine));
  const scene = { oci, engine, host };
  const known = rule === "key" ? "key" : undefined;
  for (const tag of isUpdated ? ["v1.0.0", "v1.1.0"] : ["v1.0.0"]) {
    await release(scene, tag, known);
    await host.poll({ flags: await policy(signers, known) });
  }
  return scene;
}

/** `dewy container` up to the start of containers. */
function runsImages(engine: FakeEngine): Run {
  return async (argv, context) => {
    const config = readContainer(parseArgv(["container", "--port", "8080", ...argv]));
    const { registry, locator } = await loadConfigured(config, context);
    if (!isImageRegistry(registry)) throw new Error("it has no images");
    const directory = await openReleaseDirectory(config.directory ?? "");
    const { root } = directory;
    const { policy: verify, verification } = await openImageVerification(config, root, context);
    const parts = { config, directory, registry, engine, verification };
    const deployer = dryDeployer(parts, context);
    return runAgent({ config, root, registry, locator, verify, deployer }, context);
  };
}

async function live({ host }: Scene): Promise<string | undefined> {
  const state = await host.state();
  return findRelease(state, await host.liveDirectory())?.tag;
}

describe("an attack through an image registry", () => {
  test.each(THREATS)("with $name changes nothing", async (threat) => {
    const { outcome, error, rule, flags = [], isUpdated } = threat;
    const scene = await running(rule, isUpdated);
    const { host, engine } = scene;
    const before = await host.releases();
    const pulls = engine.calls.filter((call) => call.startsWith("pull"));
    expect(pulls).toHaveLength(isUpdated ? 2 : 1);

    await threat.attack(scene);
    const polled = await host.poll({ flags: [...(await policy(signers, rule)), ...flags] });

    expect(await live(scene)).toBe(isUpdated ? "v1.1.0" : "v1.0.0");
    expect(await host.releases()).toEqual(before);
    expect(engine.calls.filter((call) => call.startsWith("pull"))).toEqual(pulls);
    expect((await host.state()).bad).toEqual([]);
    expect({ outcome: outcomeOf(polled), reasons: polled.reasons }).toEqual({
      outcome,
      reasons: expect.stringMatching(error),
    });
  });

  test("with a tag that is moved after the check pulls what was checked", async () => {
    const scene = await running();
    await release(scene, NEW);
    const { host, engine, oci } = scene;
    const signed = digestOf(oci, NEW);
    await host.poll({
      flags: await policy(signers),
      on: ({ type }) => {
        if (type === "verified") push(scene, NEW, "evil");
      },
    });
    expect(await live(scene)).toBe(NEW);
    const pulls = engine.calls.filter((call) => call.startsWith("pull"));
    expect(pulls.at(-1)).toBe(`pull registry.example/o/app@${signed}`);
    await host.poll({ flags: await policy(signers) });
    expect(engine.calls.filter((call) => call.startsWith("pull"))).toEqual(pulls);
  });
});

describe("a machine that wants signed images", () => {
  test("refuses an index that is not the signed one, whatever the registry says", async () => {
    const scene = await running();
    const { oci, host, engine } = scene;
    const index = oci.push(NEW, { platforms: [{ os: "linux", architecture: arch }] });
    await sign(oci, index, signers.ours, subjectFor(NEW));
    const answer = await oci.fetch(`https://registry.example/v2/o/app/manifests/${index}`);
    const signed = await answer.json();
    const evil = push(scene, "evil", "evil");
    const manifests = [
      { mediaType: MANIFEST, digest: evil, size: 1, platform: { os: "linux", architecture: arch } },
    ];
    const headers = { "content-type": INDEX, "docker-content-digest": index };
    oci.options.instead = ({ url }) =>
      url.endsWith(`/manifests/${NEW}`) || url.endsWith(`/manifests/${index}`)
        ? Response.json({ schemaVersion: 2, mediaType: INDEX, manifests }, { headers })
        : undefined;
    const { reasons } = await host.poll({ flags: await policy(signers) });
    expect(reasons).toMatch(/the digest should be sha256:\w+, but is sha256:/);
    expect(await live(scene)).toBe("v1.0.0");
    expect(engine.calls.filter((call) => call.startsWith("pull"))).toHaveLength(1);
    delete oci.options.instead;
    engine.publish(`registry.example/o/app@${signed.manifests[0].digest}`);
    await host.poll({ flags: await policy(signers) });
    expect(await live(scene)).toBe(NEW);
  });

  test.each([401, 403, 429, 500, 503])(
    "does not take the answer %i for the signature as an answer",
    async (status) => {
      const scene = await running();
      const { oci, host, engine } = scene;
      await release(scene, NEW);
      oci.options.instead = ({ url }) =>
        /\/manifests\/sha256-|\/referrers\//.test(url) ? errorOf(status, "DENIED") : undefined;
      const polled = await host.poll({ flags: await policy(signers) });
      expect(outcomeOf(polled)).toBe("unverified");
      expect(await live(scene)).toBe("v1.0.0");
      expect(engine.calls.filter((call) => call.startsWith("pull"))).toHaveLength(1);
      delete oci.options.instead;
      await host.poll({ flags: await policy(signers) });
      expect(await live(scene)).toBe(NEW);
    },
  );

  test("cannot be asked for kinds that are for files", async () => {
    const { host } = await running();
    await expect(host.poll({ flags: ["--verify", "checksums"] })).rejects.toThrow(
      'Cannot use --verify "checksums" with dewy container: it is for files',
    );
  });
});

/** Pushing the same image again changes nothing. */
function digestOf(oci: FakeOci, tag: string): string {
  return oci.push(tag, { salt: tag });
}
