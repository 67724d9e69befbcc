// What an attacker can do who can publish to the registry, but has neither the key nor the workflow.
import { createHash } from "node:crypto";
import { ARTIFACT, makeArtifact } from "../e2e/archive.ts";
import type { FakeSigstore } from "../fakes/sigstore.ts";
import { type SIGNER, WORKFLOW } from "../fakes/sigstore.ts";
import type { Content, Courier, Files } from "./couriers.ts";
import type { Machine } from "./machine.ts";

export interface Scene {
  courier: Courier;
  host: Machine;
  sigstore: Sigstore;
}

interface Sigstore {
  real: FakeSigstore;
  /** Its certificates had expired when they were used. */
  late: FakeSigstore;
  /** Another instance, which the machine does not trust. */
  other: FakeSigstore;
}

export interface Threat {
  name: string;
  /** What the error says. */
  error: RegExp;
  /** More flags of the machine. */
  flags?: readonly string[];
  /** What happens before the attack, besides the deploy of v1.0.0. */
  before?(scene: Scene): Promise<void>;
  /** The version that serves on. Defaults to v1.0.0. */
  live?: string;
  attack(scene: Scene): Promise<(() => void) | undefined | void>;
}

const NEW = "v1.1.0";
const BUNDLE = `${ARTIFACT}.sigstore.json`;

/** A version as the real workflow publishes it. */
export async function release(tag: string, { sigstore }: Scene): Promise<Files> {
  const artifact = await makeArtifact(tag);
  const subject = `${WORKFLOW}@refs/tags/${tag}`;
  return { [ARTIFACT]: artifact, [BUNDLE]: await bundle(artifact, sigstore.real, { subject }) };
}

async function bundle(
  content: Content,
  instance: FakeSigstore,
  signer: Partial<typeof SIGNER> = {},
): Promise<string> {
  return JSON.stringify(await instance.signFile(content, signer));
}

const sha256 = (content: Content): string => createHash("sha256").update(content).digest("hex");

export const THREATS: readonly Threat[] = [
  {
    name: "replaced artifact",
    error: /Cannot verify .* of v1\.1\.0 with sigstore: .*\.sigstore\.json: .*signature/,
    async attack(scene) {
      const files = await release(NEW, scene);
      scene.courier.publish(NEW, { ...files, [ARTIFACT]: await makeArtifact("evil") });
    },
  },
  {
    name: "replaced signature",
    error: /x/,
    async attack(scene) {
      const evil = await makeArtifact("evil");
      const files = { [ARTIFACT]: evil, [BUNDLE]: await bundle(evil, scene.sigstore.other) };
      scene.courier.publish(NEW, files);
    },
  },
  {
    name: "signature that is not one",
    error: /x/,
    async attack({ courier }) {
      courier.publish(NEW, { [ARTIFACT]: await makeArtifact("evil"), [BUNDLE]: "{}" });
    },
  },
  {
    name: "signature of another artifact by the same signer",
    error: /x/,
    async attack(scene) {
      const { sigstore, courier } = scene;
      const evil = await makeArtifact("evil");
      const files = { [ARTIFACT]: evil, [BUNDLE]: await bundle("notes.txt", sigstore.real) };
      courier.publish(NEW, files);
    },
  },
  {
    name: "old signed release, published again as the newest",
    error: /x/,
    live: NEW,
    async before(scene) {
      scene.courier.publish(NEW, await release(NEW, scene));
      await scene.host.poll();
    },
    async attack(scene) {
      scene.courier.publish("v1.2.0", await release("v1.0.0", scene));
    },
  },
  {
    name: "deleted newest",
    error: /older than v1\.1\.0/,
    live: NEW,
    async before(scene) {
      scene.courier.publish(NEW, await release(NEW, scene));
      await scene.host.poll();
    },
    async attack({ courier }) {
      courier.withdraw(NEW);
    },
  },
  {
    name: "absurd version number",
    flags: ["--confirm-major"],
    error: /more than one major version above v1\.0\.0/,
    async attack(scene) {
      scene.courier.publish("v900.0.0", await release("v900.0.0", scene));
    },
  },
  {
    name: "stripped signature",
    error: /x/,
    async attack(scene) {
      scene.courier.publish(NEW, { [ARTIFACT]: await makeArtifact("evil") });
    },
  },
  {
    name: "checksum file that lacks the artifact",
    error: /x/,
    async attack({ courier, sigstore }) {
      const sums = `${sha256("other")}  other.tar.gz\n`;
      courier.publish(NEW, {
        [ARTIFACT]: await makeArtifact("evil"),
        SHA256SUMS: sums,
        "SHA256SUMS.sigstore.json": await bundle(sums, sigstore.real),
      });
    },
  },
  {
    name: "unsigned checksum file",
    error: /x/,
    async attack({ courier }) {
      const evil = await makeArtifact("evil");
      courier.publish(NEW, { [ARTIFACT]: evil, SHA256SUMS: `${sha256(evil)}  ${ARTIFACT}\n` });
    },
  },
  {
    name: "expired certificate",
    error: /x/,
    async attack({ courier, sigstore }) {
      const evil = await makeArtifact("evil");
      courier.publish(NEW, { [ARTIFACT]: evil, [BUNDLE]: await bundle(evil, sigstore.late) });
    },
  },
  {
    name: "wrong workflow",
    error: /x/,
    async attack({ courier, sigstore }) {
      const evil = await makeArtifact("evil");
      const subject = `${WORKFLOW.replace("release", "nightly")}@refs/tags/${NEW}`;
      const files = { [ARTIFACT]: evil, [BUNDLE]: await bundle(evil, sigstore.real, { subject }) };
      courier.publish(NEW, files);
    },
  },
  {
    name: "wrong repository",
    error: /x/,
    async attack({ courier, sigstore }) {
      const evil = await makeArtifact("evil");
      const repository = "https://github.com/mallory/app";
      const subject = `${repository}/.github/workflows/release.yml@refs/tags/${NEW}`;
      const signed = await bundle(evil, sigstore.real, { subject, repository });
      courier.publish(NEW, { [ARTIFACT]: evil, [BUNDLE]: signed });
    },
  },
  {
    name: "artifact swapped between the listing and the download",
    error: /x/,
    async attack(scene) {
      const files = await release(NEW, scene);
      scene.courier.publish(NEW, files);
      const evil = await makeArtifact("evil");
      return () => scene.courier.publish(NEW, { ...files, [ARTIFACT]: evil });
    },
  },
];
