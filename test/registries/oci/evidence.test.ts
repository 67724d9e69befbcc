import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ImageEvidence, ImageSignature } from "../../../src/core/proof.ts";
import type { Artifact } from "../../../src/core/types.ts";
import { createHostIo } from "../../../src/host/io.ts";
import { prepare } from "../../../src/registries/load.ts";
import { img } from "../../../src/registries/oci/driver.ts";
import { openImageEvidence } from "../../../src/registries/oci/evidence.ts";
import type { OciLocator } from "../../../src/registries/oci/locator.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { imageSubject } from "../../../src/verify/image_subject.ts";
import { sigstore } from "../../../src/verify/sigstore/driver.ts";
import { fakeClock } from "../../fakes/clock.ts";
import {
  attachAttestation,
  attachBundle,
  attachSignatures,
  type ImagePublisher,
  signImage,
  tagReferrers,
} from "../../fakes/image_signatures.ts";
import { type FakeOci, fakeOci } from "../../fakes/oci.ts";
import { type FakeSigstore, fakeSigstore, ISSUER, SIGNER, WORKFLOW } from "../../fakes/sigstore.ts";
import { missingDockerRegistry, startDockerRegistry } from "../../peers/docker_registry.ts";
import { sha256Hex, verifyContext } from "../../support/subject.ts";

const PLATFORM = { os: "linux", arch: "amd64" };
const PLATFORMS = [
  { os: "linux", architecture: "arm64" },
  { os: "linux", architecture: "amd64" },
];
const { signal } = new AbortController();

let instance: FakeSigstore;
beforeAll(async () => {
  instance = await fakeSigstore();
});

type Options = Omit<Parameters<typeof prepare>[1], "registries">;

interface Opened {
  image: Artifact;
  evidence: ImageEvidence;
}

async function openWith(url: string, options: Options): Promise<Opened> {
  const given = { platform: PLATFORM, ...options, registries: { img } };
  const found = await openRegistry(url, given).resolve();
  if (found.kind !== "ready") throw new Error(JSON.stringify(found));
  const { locator, context } = prepare(url, given);
  const evidenceOf = openImageEvidence(locator as OciLocator, context);
  return { image: found.artifact, evidence: evidenceOf(found.artifact) };
}

const open = (fake: FakeOci): Promise<Opened> =>
  openWith("img://registry.example/o/app", {
    env: {},
    fetch: fake.fetch,
    clock: fakeClock({ skipUpTo: 10_000 }),
    timeoutMs: Number.POSITIVE_INFINITY,
    emit: () => {},
  });

async function listed(evidence: ImageEvidence): Promise<readonly ImageSignature[]> {
  const found: ImageSignature[] = [];
  for await (const one of evidence.signatures(signal)) found.push(one);
  return found;
}

const evidenceNames = async (evidence: ImageEvidence): Promise<readonly string[]> =>
  (await listed(evidence)).map((one) => one.evidence);

const verify = ({ image, evidence }: Opened) =>
  sigstore
    .open(
      `${WORKFLOW},${ISSUER}`,
      verifyContext({ sigstoreRoots: async () => [instance.trustedRoot] }),
    )
    .verify(imageSubject("v1.0.0", image, evidence), signal);

const hexOf = (digest = ""): string => digest.replace("sha256:", "");

const attest = (digest: string) =>
  instance.attest([{ name: "registry.example/o/app", sha256: hexOf(digest) }]);

test("an image without signatures", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  const opened = await open(fake);
  expect(await listed(opened.evidence)).toEqual([]);
  expect(await opened.evidence.digests(signal)).toEqual([hexOf(digest)]);
  await expect(verify(opened)).rejects.toThrow("the registry has no signature for it");
});

test("a signature and an attestation in cosign's tags", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  const { publisher } = fake;
  const sig = await attachSignatures(publisher, digest, [await signImage(instance, digest)]);
  const opened = await open(fake);
  expect(await evidenceNames(opened.evidence)).toEqual([`sha256-${hexOf(digest)}.sig`]);
  expect(await verify(opened)).toMatchObject({ evidence: sig, identity: SIGNER });
  fake.tag(sig, undefined);
  const att = await attachAttestation(publisher, digest, await attest(digest));
  expect(await verify(await open(fake))).toMatchObject({ evidence: att, identity: SIGNER });
});

test("bundles among the referrers, on several pages, the newest first", async () => {
  const fake = fakeOci({ referrers: 2 });
  const digest = fake.push("v1.0.0");
  const pushed: string[] = [];
  for (let count = 0; count < 5; count += 1) {
    pushed.push((await attachBundle(fake.publisher, digest, await attest(digest))).digest);
  }
  const opened = await open(fake);
  expect(await evidenceNames(opened.evidence)).toEqual(pushed.reverse());
  expect(await verify(opened)).toMatchObject({ evidence: pushed[0], identity: SIGNER });
});

test.each([404, 400, 405])("bundles in the tag for referrers after a status %i", async (status) => {
  const fake = fakeOci({
    instead: ({ url }) =>
      url.includes("/referrers/") ? new Response("no such page", { status }) : undefined,
  });
  const digest = fake.push("v1.0.0");
  const bundle = await attachBundle(fake.publisher, digest, await attest(digest));
  await tagReferrers(fake.publisher, digest, [bundle]);
  expect(await verify(await open(fake))).toMatchObject({ evidence: bundle.digest });
});

test("bundles in the tag for referrers if a page for people answers", async () => {
  const fake = fakeOci({
    instead: ({ url }) => (url.includes("/referrers/") ? new Response("<html>") : undefined),
  });
  const digest = fake.push("v1.0.0");
  const bundle = await attachBundle(fake.publisher, digest, await attest(digest));
  await tagReferrers(fake.publisher, digest, [bundle]);
  expect(await verify(await open(fake))).toMatchObject({ evidence: bundle.digest });
});

test("referrers of other kinds are not read", async () => {
  const fake = fakeOci({ referrers: 50 });
  const digest = fake.push("v1.0.0");
  const subject = { mediaType: "", digest, size: 1 };
  const artifactType = "application/spdx+json";
  const sbom = await fake.publisher.manifest({ layers: [], artifactType, subject }, "");
  expect(await listed((await open(fake)).evidence)).toEqual([]);
  expect(fake.requests.some(({ call }) => call.includes(sbom.digest))).toBe(false);
});

describe("an image of an index", () => {
  test("is covered by a signature of the index", async () => {
    const fake = fakeOci();
    const index = fake.push("v1.0.0", { platforms: PLATFORMS });
    await attachSignatures(fake.publisher, index, [await signImage(instance, index)]);
    const opened = await open(fake);
    const { image, evidence } = opened;
    expect(image.digest).not.toBe(index);
    expect(await evidence.digests(signal)).toEqual([hexOf(image.digest), hexOf(index)]);
    expect(await verify(opened)).toMatchObject({ checksums: index, identity: SIGNER });
  });

  test("is covered by a signature of its own", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0", { platforms: PLATFORMS });
    const { image } = await open(fake);
    const own = image.digest ?? "";
    await attachSignatures(fake.publisher, own, [await signImage(instance, own)]);
    const proof = await verify(await open(fake));
    expect(proof).toMatchObject({ evidence: `sha256-${hexOf(own)}.sig` });
    expect(proof.checksums).toBeUndefined();
  });

  test("is covered by an index around its index", async () => {
    const fake = fakeOci();
    const inner = fake.push("v1.0.0", { platforms: PLATFORMS });
    const type = "application/vnd.oci.image.index.v1+json";
    const manifests = [{ mediaType: type, digest: inner, size: 1 }];
    const outer = fake.put({ schemaVersion: 2, mediaType: type, manifests }, type).digest;
    fake.tag("v1.0.0", outer);
    const { image, evidence } = await open(fake);
    const digests = [image.digest, inner, outer].map(hexOf);
    expect(await evidence.digests(signal)).toEqual(digests);
  });

  test("is not covered by an index that does not list it", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0", { platforms: PLATFORMS });
    const other = fake.push("v0.9.0", { platforms: PLATFORMS, salt: "other" });
    await attachSignatures(fake.publisher, other, [await signImage(instance, other)]);
    const { image } = await open(fake);
    const { locator, context } = prepare("img://registry.example/o/app", {
      registries: { img },
      platform: PLATFORM,
      env: {},
      fetch: fake.fetch,
    });
    const forged = { ...image, revision: other };
    const evidence = openImageEvidence(locator as OciLocator, context)(forged);
    expect(await evidence.digests(signal)).toEqual([hexOf(image.digest)]);
    await expect(verify({ image: forged, evidence })).rejects.toThrow("no signature for it");
  });
});

test("a signature of another image in the tag of this one is refused", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  const other = `sha256:${sha256Hex("other")}`;
  await attachSignatures(fake.publisher, digest, [await signImage(instance, other)]);
  await expect(verify(await open(fake))).rejects.toThrow(`the signature is of ${other}`);
});

test("blobs and manifests with other bytes than their digests are refused", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  await attachSignatures(fake.publisher, digest, [await signImage(instance, digest)]);
  const opened = await open({ ...fake, fetch: withOtherPayloads(fake) });
  await expect(listed(opened.evidence)).rejects.toMatchObject({ code: "integrity" });
});

/** Only signed payloads are replaced. */
function withOtherPayloads(fake: FakeOci): FakeOci["fetch"] {
  return async (input, init) => {
    const response = await fake.fetch(input, init);
    const text = await response.clone().text();
    return text.includes("docker-manifest-digest")
      ? new Response(text.replace("cosign", "Cosign"), response)
      : response;
  };
}

test("nothing is read twice, and large signatures are not read at all", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  const large = { mediaType: "application/vnd.dsse.envelope.v1+json", size: 5 * 2 ** 20, digest };
  const manifest = { schemaVersion: 2, layers: [large] };
  await fake.publisher.manifest(manifest, "", `sha256-${hexOf(digest)}.att`);
  await attachSignatures(fake.publisher, digest, [await signImage(instance, digest)]);
  const { evidence } = await open(fake);
  const first = await listed(evidence);
  expect(first).toHaveLength(1);
  const before = fake.requests.length;
  expect(await listed(evidence)).toEqual(first);
  expect(fake.requests).toHaveLength(before);
});

test("at most 16 signatures of a tag are read, the newest", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  const layers = Array.from({ length: 20 }, (_, at) => ({
    ...fake.put({ at }),
    mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
  }));
  await fake.publisher.manifest({ schemaVersion: 2, layers }, "", `sha256-${hexOf(digest)}.sig`);
  const found = await listed((await open(fake)).evidence);
  const texts = found.map(({ simple }) => new TextDecoder().decode(simple?.payload));
  expect(texts).toHaveLength(16);
  expect([texts[0], texts.at(-1)]).toEqual(['{"at":19}', '{"at":4}']);
});

test("at most 32 MiB are read of all signatures together", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  const layers = Array.from({ length: 12 }, (_, at) => ({
    ...fake.put({ at }),
    mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
    size: 4 * 2 ** 20,
  }));
  await fake.publisher.manifest({ schemaVersion: 2, layers }, "", `sha256-${hexOf(digest)}.sig`);
  expect(await listed((await open(fake)).evidence)).toHaveLength(8);
});

test("a referrer with other bytes than its digest is refused", async () => {
  const fake = fakeOci({ referrers: 10 });
  const digest = fake.push("v1.0.0");
  const bundle = await attachBundle(fake.publisher, digest, await attest(digest));
  const opened = await open(fake);
  fake.options.instead = ({ url }) =>
    url.endsWith(bundle.digest) ? new Response('{"layers":[]}') : undefined;
  await expect(listed(opened.evidence)).rejects.toMatchObject({ code: "integrity" });
});

test("a registry that fails is not one without signatures", async () => {
  const fake = fakeOci();
  const digest = fake.push("v1.0.0");
  await attachSignatures(fake.publisher, digest, [await signImage(instance, digest)]);
  const opened = await open(fake);
  fake.options.instead = ({ url }) =>
    url.endsWith(".sig") ? new Response("", { status: 503 }) : undefined;
  await expect(verify(opened)).rejects.toMatchObject({ code: "remote", status: 503 });
});

const missing = missingDockerRegistry();

describe.skipIf(missing !== undefined)(
  `a real registry of images${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    const start = async () => {
      const server = await startDockerRegistry();
      onTestFinished(() => server.stop());
      const io = await createHostIo({ env: {}, emit: () => {} });
      const url = `img://${server.host}/o/app`;
      return { server, publisher: server.publisher("o/app"), opened: () => openWith(url, io) };
    };

    test.each<[string, (to: ImagePublisher, digest: string) => Promise<unknown>]>([
      [
        "a signature in cosign's tag",
        async (to, digest) => attachSignatures(to, digest, [await signImage(instance, digest)]),
      ],
      [
        "an attestation in cosign's tag",
        async (to, digest) => attachAttestation(to, digest, await attest(digest)),
      ],
      [
        "a bundle as a referrer",
        async (to, digest) =>
          tagReferrers(to, digest, [await attachBundle(to, digest, await attest(digest))]),
      ],
    ])("verifies %s, of an image and of an index", async (_, attach) => {
      const { server, publisher, opened } = await start();
      await server.push("o/app", "v1.0.0");
      const { image } = await opened();
      await attach(publisher, image.digest ?? "");
      expect(await verify(await opened())).toMatchObject({ identity: SIGNER });

      await server.pushIndex("o/app", "v1.1.0", ["linux/arm64", "linux/amd64"]);
      const { image: listedImage } = await opened();
      const index = listedImage.revision ?? "";
      expect(index).not.toBe(listedImage.digest);
      await expect(verify(await opened())).rejects.toThrow("no signature for it");
      await attach(publisher, index);
      expect(await verify(await opened())).toMatchObject({ checksums: index });
    });
  },
);
