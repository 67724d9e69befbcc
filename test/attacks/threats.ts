// What an attacker can do who can publish to the registry, but has neither the key nor the workflow.
import { ARTIFACT, makeArtifact } from "../e2e/archive.ts";
import { type SIGNER, WORKFLOW } from "../fakes/sigstore.ts";
import { sha256Hex } from "../support/subject.ts";
import type { Content, Courier, Files } from "./couriers.ts";
import type { Machine, Outcome } from "./machine.ts";
import type { Rule, Signers } from "./signers.ts";

export interface Scene {
  courier: Courier;
  host: Machine;
  signers: Signers;
}

export interface Threat {
  name: string;
  outcome: Outcome;
  /** What the error says. */
  error: RegExp;
  /** Which rule the machine has. Defaults to the identity of the workflow. */
  rule?: Rule;
  /** More flags of the machine. */
  flags?: readonly string[];
  /** Whether v1.1.0 is live, instead of v1.0.0. */
  isUpdated?: true;
  /** Returns what happens between the listing and the download. */
  attack(scene: Scene): Promise<(() => Promise<void>) | undefined>;
}

const NEW = "v1.2.0";
const BUNDLE = `${ARTIFACT}.sigstore.json`;
const DAY_MS = 86_400_000;

/** A version as the real workflow publishes it. */
export async function release(tag: string, { signers }: Scene, rule?: Rule) {
  const artifact = await makeArtifact(tag);
  const signed =
    rule === "key"
      ? await signers.ours.signFileWith(signers.key, artifact)
      : await signers.ours.signFile(artifact, { subject: `${WORKFLOW}@refs/tags/${tag}` });
  return { [ARTIFACT]: artifact, [BUNDLE]: JSON.stringify(signed) };
}

type Bundles = (evil: Uint8Array<ArrayBuffer>, scene: Scene) => Promise<object> | object;

/** Publishes an artifact of the attacker's with this bundle. */
function evilWith(bundle: Bundles): Threat["attack"] {
  return async (scene) => {
    const evil = await makeArtifact("evil");
    const signed = JSON.stringify(await bundle(evil, scene));
    await scene.courier.publish(NEW, { [ARTIFACT]: evil, [BUNDLE]: signed });
    return undefined;
  };
}

/** Publishes an artifact of the attacker's with these files. */
function evilAmong(files: (evil: Content, scene: Scene) => Promise<Files> | Files) {
  return async (scene: Scene): Promise<undefined> => {
    const evil = await makeArtifact("evil");
    await scene.courier.publish(NEW, { [ARTIFACT]: evil, ...(await files(evil, scene)) });
  };
}

const signedBy = (signer: Partial<typeof SIGNER>): Threat["attack"] =>
  evilWith((evil, { signers }) => signers.ours.signFile(evil, signer));

export const THREATS: readonly Threat[] = [
  {
    name: "a replaced artifact",
    outcome: "unverified",
    error: /\.sigstore\.json: the signature is of a file with another digest/,
    async attack(scene) {
      const files = await release(NEW, scene);
      await scene.courier.publish(NEW, { ...files, [ARTIFACT]: await makeArtifact("evil") });
      return undefined;
    },
  },
  {
    name: "a replaced signature",
    outcome: "unverified",
    error: /\.sigstore\.json: its log is not in the trusted root/,
    attack: evilWith((evil, { signers }) => signers.theirs.signFile(evil)),
  },
  {
    name: "something else than a signature",
    outcome: "unverified",
    error: /\.sigstore\.json: mediaType is missing/,
    attack: evilWith(() => ({})),
  },
  {
    name: "the signature of another artifact by the same signer",
    outcome: "unverified",
    error: /\.sigstore\.json: the signature is of a file with another digest/,
    attack: evilWith((_, { signers }) => signers.ours.signFile("notes.txt")),
  },
  {
    name: "the signature of another artifact by the same key",
    outcome: "unverified",
    rule: "key",
    error: /\.sigstore\.json: the signature is of a file with another digest/,
    attack: evilWith((_, { signers }) => signers.ours.signFileWith(signers.key, "notes.txt")),
  },
  {
    name: "an old signed release, published again as the newest",
    outcome: "unverified",
    isUpdated: true,
    error:
      /of v1\.2\.0: it is v1\.0\.0 again, which was replaced here since;.*dewy trust accept v1\.2\.0/,
    async attack(scene) {
      await scene.courier.publish(NEW, await release("v1.0.0", scene));
      return undefined;
    },
  },
  {
    name: "a deleted newest version",
    outcome: "held",
    isUpdated: true,
    error: /^older than v1\.1\.0, the highest version deployed here; only dewy deploy v1\.0\.0/,
    async attack({ courier }) {
      await courier.withdraw("v1.1.0");
      return undefined;
    },
  },
  {
    name: "an absurd version number",
    outcome: "held",
    flags: ["--confirm-major"],
    error: /^more than one major version above v1\.0\.0.*; dewy deploy v900\.0\.0 confirms it/,
    async attack(scene) {
      await scene.courier.publish("v900.0.0", await release("v900.0.0", scene));
      return undefined;
    },
  },
  {
    name: "a frozen listing",
    outcome: "warned",
    flags: ["--max-staleness", "168h"],
    error: /^Listing of the registry unchanged for too long/,
    async attack({ host }) {
      const changedAt = new Date(Date.now() - 8 * DAY_MS).toISOString();
      await host.changeState((state) => ({
        ...state,
        listing: state.listing && { ...state.listing, changedAt },
      }));
      return undefined;
    },
  },
  {
    name: "a stripped signature",
    outcome: "unverified",
    error: /the release has no Sigstore bundle for it.*; sign it in CI: cosign sign-blob/,
    attack: evilAmong(() => ({})),
  },
  {
    name: "a changed key",
    outcome: "unverified",
    rule: "key",
    error: /\.sigstore\.json: the log entry is about another certificate or key/,
    attack: evilWith((evil, { signers }) => signers.ours.signFileWith(signers.otherKey, evil)),
  },
  {
    name: "a signed checksum file that lacks the artifact",
    outcome: "unverified",
    error: /SHA256SUMS: it does not list the SHA-256 or SHA-512 of "app_/,
    attack: evilAmong(async (_, { signers }) => {
      const sums = `${sha256Hex("other")}  other.tar.gz\n`;
      const signed = await signers.ours.signFile(sums);
      return { SHA256SUMS: sums, "SHA256SUMS.sigstore.json": JSON.stringify(signed) };
    }),
  },
  {
    name: "a checksum file with another digest than the signed one",
    outcome: "unverified",
    error: /SHA256SUMS\.sigstore\.json: the signature is of a file with another digest/,
    attack: evilAmong(async (evil, { signers }) => {
      const sums = `${sha256Hex("other")}  ${ARTIFACT}\n`;
      const signed = JSON.stringify(await signers.ours.signFile(sums));
      const changed = `${sha256Hex(evil)}  ${ARTIFACT}\n`;
      return { SHA256SUMS: changed, "SHA256SUMS.sigstore.json": signed };
    }),
  },
  {
    name: "an unsigned checksum file",
    outcome: "unverified",
    rule: "key",
    error: /the release has no Sigstore bundle for it, nor for "SHA256SUMS"; sign it in CI/,
    attack: evilAmong((evil) => ({ SHA256SUMS: `${sha256Hex(evil)}  ${ARTIFACT}\n` })),
  },
  {
    name: "an expired certificate",
    outcome: "unverified",
    rule: "late",
    error: /certificate is not valid or expired at the specified date/,
    attack: evilWith((evil, { signers }) => signers.late.signFile(evil)),
  },
  {
    name: "the wrong workflow",
    outcome: "unverified",
    error: /it is signed by \S+\/nightly\.yml@refs\/tags\/v1\.2\.0, not by \S+\/release\.yml/,
    attack: signedBy({ subject: `${WORKFLOW.replace("release", "nightly")}@refs/tags/${NEW}` }),
  },
  {
    name: "the wrong repository",
    outcome: "unverified",
    error: /it is signed by https:\/\/github\.com\/mallory\/app\S+, not by \S+\/acme\/app\//,
    attack: signedBy({
      subject: `https://github.com/mallory/app/.github/workflows/release.yml@refs/tags/${NEW}`,
      repository: "https://github.com/mallory/app",
    }),
  },
  {
    name: "an index that is swapped between the check and the download",
    outcome: "not downloaded",
    error: /Cannot download "app_.* of v1\.2\.0: .*replaced/,
    async attack(scene) {
      const files = await release(NEW, scene);
      await scene.courier.publish(NEW, files);
      const evil = await makeArtifact("evil");
      return () => scene.courier.publish(NEW, { ...files, [ARTIFACT]: evil });
    },
  },
];
