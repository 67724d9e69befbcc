import { expect, onTestFinished, test } from "vitest";
import { missingPeer } from "../peers/missing_peer.ts";
import { gpgKey, minisignKey, sshKey } from "../support/signing.ts";
import { sha256Hex } from "../support/subject.ts";
import { runCase, runtimes } from "./runtimes.ts";
import type { SignedRelease } from "./signatures_case.ts";
import { bundleForEdge, startWorker } from "./workerd.ts";

const missing = missingPeer(["minisign", "ssh-keygen", "gpg"], "minisign openssh-client gnupg");

async function signedRelease(): Promise<SignedRelease> {
  const [minisign, ssh, rsa, openpgp] = await Promise.all([
    minisignKey(),
    sshKey(),
    sshKey("ecdsa", 384),
    gpgKey(),
  ]);
  const hex = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString("hex");
  const bytes = "bytes".repeat(1_000);
  return {
    files: {
      app: hex(bytes),
      "app.minisig": hex(await minisign.sign("app", bytes)),
      "app.sig": hex(await rsa.sign("app", bytes)),
      "app.asc": hex(await openpgp.sign("app", bytes)),
    },
    sha256: sha256Hex(bytes),
    keys: {
      minisign: minisign.publicKey,
      ssh: ssh.publicKey + rsa.publicKey,
      openpgp: openpgp.publicKey,
    },
  };
}

test.skipIf(missing !== undefined).each(runtimes)(
  `$name verifies signatures of minisign, ssh-keygen and GnuPG ${missing ?? ""}`,
  async (runtime) => {
    const { code, stdout, stderr } = await runCase(runtime, "test/runtime/signatures_main.ts", {
      SIGNED_RELEASE: JSON.stringify(await signedRelease()),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const verdict = ["proved", "unverified"];
    const verdicts = { minisign: verdict, ssh: verdict, openpgp: verdict };
    expect(JSON.parse(stdout)).toEqual([verdicts, verdicts]);
  },
);

test.skipIf(missing !== undefined)(
  `workerd verifies signatures of minisign and ssh-keygen ${missing ?? ""}`,
  async () => {
    const worker = await startWorker(
      await bundleForEdge(`
        import { minisign } from "./src/verify/minisign/driver.ts";
        import { ssh } from "./src/verify/ssh/driver.ts";
        import { signaturesCase } from "./test/runtime/signatures_case.ts";
        export default {
          async fetch(request) {
            return Response.json(await signaturesCase([minisign, ssh], await request.json()));
          },
        };`),
    );
    onTestFinished(() => worker.close());
    const body = JSON.stringify(await signedRelease());
    const response = await fetch(worker.url, { method: "POST", body });
    const verdict = ["proved", "unverified"];
    expect(await response.json()).toEqual({ minisign: verdict, ssh: verdict });
  },
);
