import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { CommandContext } from "../../src/agent/context.ts";
import { steerOffline } from "../../src/agent/offline.ts";
import { runAssets } from "../../src/cli/commands/assets.ts";
import { readAssets } from "../../src/cli/flags/assets.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { statePath } from "../../src/host/files/own_paths.ts";
import { readState } from "../../src/host/files/state_file.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { fakeProcess } from "../cli/process.ts";
import { eventsOf } from "../deploy/world.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { type SigningKey, sshKey } from "../support/signing.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const noSshKeygen = missingPeer(["ssh-keygen"], "openssh-client");
const ALICE = { user: "alice", message: "the key was replaced" };

/** `dewy assets` with a directory of releases as its registry. */
async function machine() {
  const [root, registry] = [await tempDirectory(), await tempDirectory()];
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  const env: Record<string, string> = {};
  const io = await createHostIo({ env, emit });
  return {
    root,
    events,
    /** Publishes a file, signed by a key. */
    async publish(tag: string, key?: SigningKey, content = tag) {
      const directory = join(registry, tag);
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, "app.txt"), content);
      if (key === undefined) return;
      await writeFile(join(directory, "app.txt.sig"), await key.sign("app.txt", tag));
    },
    async run(...flags: readonly string[]): Promise<number> {
      const url = `file://${registry}?artifact=app.txt`;
      const argv = ["assets", "--registry", url, "--directory", root, "--once", ...flags];
      const context: CommandContext = {
        ...fakeProcess({ env }),
        clock: systemClock,
        fetch: io.fetch,
        version: "0.0.0",
        io,
        registries: hostRegistries,
        notifiers: {},
        caches: {},
        emit,
        redactor: () => (text) => text,
      };
      return runAssets(readAssets(parseArgv(argv)), context);
    },
    async accept(tag: string) {
      const signal = new AbortController().signal;
      const options = { operator: ALICE, signal, redact: (text: string) => text, emit };
      return steerOffline(root, { command: "trust accept", tag }, options);
    },
    live: () => readFile(join(root, "current", "app.txt"), "utf8").catch(() => undefined),
    releases: () => readdir(join(root, "releases")).catch(() => []),
    state: () => readState(statePath(root)),
    failure: () => eventsOf(events, "failed").at(-1)?.error.message ?? "",
  };
}

const signersFile = async ({ publicKey }: SigningKey): Promise<string> => {
  const path = join(await tempDirectory(), "allowed_signers");
  await writeFile(path, publicKey);
  return path;
};

test.skipIf(noSshKeygen !== undefined)(
  `the signer of the first version must sign all that follow ${noSshKeygen ?? ""}`,
  async () => {
    const app = await machine();
    const [owner, stranger] = [await sshKey(), await sshKey()];
    await app.publish("v1.0.0", owner);
    expect(await app.run()).toBe(0);
    expect(eventsOf(app.events, "signer-trusted")).toHaveLength(1);

    await app.publish("v1.1.0");
    expect(await app.run()).toBe(2);
    expect(app.failure()).toMatch(/has no ssh signature.*dewy trust accept v1\.1\.0$/);
    await app.publish("v1.2.0", stranger);
    expect(await app.run()).toBe(2);
    expect(app.failure()).toMatch(/it is signed by SHA256:.*earlier versions are signed by SHA256/);
    expect(await app.live()).toBe("v1.0.0");
    expect(await app.releases()).toHaveLength(1);
    expect((await app.state()).bad).toEqual([]);

    await app.publish("v1.3.0", owner);
    expect(await app.run()).toBe(0);
    expect(await app.live()).toBe("v1.3.0");
  },
);

test.skipIf(noSshKeygen !== undefined)(
  `an operator accepts another signer, also while dewy does not run ${noSshKeygen ?? ""}`,
  async () => {
    const app = await machine();
    const [owner, successor] = [await sshKey(), await sshKey()];
    await app.publish("v1.0.0", owner);
    await app.run();
    await app.publish("v2.0.0", successor);
    expect(await app.run()).toBe(2);
    expect((await app.accept("v2.0.0")).text).toContain("v2.0.0 is accepted");
    expect(await app.run()).toBe(0);
    expect(await app.live()).toBe("v2.0.0");

    await app.publish("v2.1.0", owner);
    expect(await app.run()).toBe(2);
    await app.publish("v2.2.0", successor);
    expect(await app.run()).toBe(0);
    const journal = await readFile(join(app.root, ".dewy", "journal.jsonl"), "utf8");
    expect(journal).toContain('"command":"trust accept v2.0.0","user":"alice"');
    expect(journal).toMatch(/"event":"signer-trusted".*"tag":"v2.0.0".*"user":"alice"/);
  },
);

test.skipIf(noSshKeygen !== undefined)(
  `a policy lets nothing pass that it does not hold for, not even the first version ${noSshKeygen ?? ""}`,
  async () => {
    const app = await machine();
    const [owner, stranger] = [await sshKey(), await sshKey()];
    const verify = ["--verify", `ssh=${await signersFile(owner)}`];
    await app.publish("v1.0.0");
    expect(await app.run(...verify)).toBe(2);
    expect(app.failure()).toContain("in CI: ssh-keygen -Y sign");
    await app.publish("v1.1.0", stranger);
    expect(await app.run(...verify)).toBe(2);
    await app.publish("v1.2.0", owner, "other bytes");
    expect(await app.run(...verify)).toBe(2);
    expect(await app.releases()).toEqual([]);
    await app.publish("v1.3.0", owner);
    expect(await app.run(...verify)).toBe(0);
    expect(eventsOf(app.events, "verified")).toMatchObject([{ proofs: [{ kind: "ssh" }] }]);
    expect((await app.state()).signers).toBeUndefined();
  },
);

test("--verify none says at every start that nothing is verified", async () => {
  const app = await machine();
  await app.publish("v1.0.0");
  expect(await app.run("--verify", "none")).toBe(0);
  const warning = { message: "Signatures are not verified: --verify none" };
  expect(eventsOf(app.events, "warning")).toMatchObject([warning]);
});

test("a wrong value is refused before anything is downloaded", async () => {
  const app = await machine();
  await app.publish("v1.0.0");
  await expect(app.run("--verify", "sigstore=release@example.com")).rejects.toThrow("--verify");
  await expect(app.run("--verify", "none", "--verify", "checksums")).rejects.toThrow("combined");
  expect(app.events).toEqual([]);
});
