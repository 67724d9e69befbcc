import { describe, expect, test } from "vitest";
import { CredentialError, RemoteError, VerificationError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Proof, VerifyKind } from "../../src/core/proof.ts";
import { type GateMemory, openGate } from "../../src/verify/gate.ts";
import { parsePolicy } from "../../src/verify/policy.ts";
import type { Signer } from "../../src/verify/signer.ts";
import type { VerifierDriver } from "../../src/verify/types.ts";
import { subjectOf, verifyContext } from "../support/subject.ts";

const SUBJECT = subjectOf({ "app.tar.gz": "the bytes" });
const never = new AbortController().signal;

type Outcome = readonly Proof[] | Error;

/** A kind of verification that answers as the test says. */
function driver(kind: VerifyKind, outcome: Outcome, isService?: true): VerifierDriver {
  const answer = async (): Promise<readonly Proof[]> => {
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  return {
    kind,
    syntax: kind,
    description: "",
    ...(isService && { isService }),
    open: () => ({
      kind,
      async verify() {
        const [proof] = await answer();
        if (proof === undefined) throw new VerificationError("it has no signature");
        return proof;
      },
    }),
    offered: answer,
  };
}

const proof = (kind: VerifyKind, signer: string): Proof => ({ kind, evidence: "file", signer });

function memory(signers: readonly Signer[], accepted: readonly string[] = []): GateMemory {
  return {
    signers: async () => signers,
    isAccepted: async ({ tag }) => accepted.includes(tag),
  };
}

describe("with rules", () => {
  const open = (flags: readonly string[], ...drivers: VerifierDriver[]) =>
    openGate(parsePolicy(flags), drivers, verifyContext());

  test("returns the proof of each rule", async () => {
    const gate = open(
      ["ssh=a", "minisign=b"],
      driver("ssh", [proof("ssh", "A")]),
      driver("minisign", [proof("minisign", "B")]),
    );
    expect(await gate.verify(SUBJECT, never)).toEqual([proof("ssh", "A"), proof("minisign", "B")]);
  });

  test("refuses a release for which one rule does not hold", async () => {
    const gate = open(
      ["ssh=a", "minisign=b"],
      driver("ssh", [proof("ssh", "A")]),
      driver("minisign", []),
    );
    await expect(gate.verify(SUBJECT, never)).rejects.toThrow("it has no signature");
  });

  test("does not let pass what cannot be evaluated, and keeps the cause for the backoff", async () => {
    const cause = new RemoteError("503", { retryAfterMs: 60_000 });
    const gate = open(["github=o/r"], driver("github", cause, true));
    await expect(gate.verify(SUBJECT, never)).rejects.toMatchObject({
      name: "VerificationError",
      message: 'Cannot verify "app.tar.gz" of v1.0.0 with github: 503',
      fault: "remote",
      retryable: true,
      cause,
    });
  });

  test("passes an abort on as it is", async () => {
    const stop = new AbortController();
    const reason = new Error("dewy stops");
    stop.abort(reason);
    const gate = open(["ssh=a"], driver("ssh", new Error("whatever")));
    await expect(gate.verify(SUBJECT, stop.signal)).rejects.toBe(reason);
  });

  test("names a kind that the runtime does not have, before anything is downloaded", () => {
    expect(() => open(["openpgp=key.asc"], driver("checksums", []))).toThrow(
      'Cannot use --verify "openpgp=key.asc": this runtime does not verify openpgp; it verifies checksums',
    );
  });
});

test("none verifies nothing", async () => {
  const gate = openGate({ mode: "none" }, [driver("ssh", new Error())], verifyContext());
  expect(await gate.verify(SUBJECT, never)).toEqual([]);
});

describe("auto", () => {
  const A: Signer = { kind: "ssh", signer: "A" };

  function open(signers: readonly Signer[], drivers: VerifierDriver[], accepted?: string[]) {
    const events: DewyEvent[] = [];
    const context = verifyContext({ emit: (event) => events.push(event) });
    const gate = openGate({ mode: "auto" }, drivers, context, memory(signers, accepted));
    return { events, verify: () => gate.verify(SUBJECT, never) };
  }

  test("returns what the release offers, before a signer is remembered", async () => {
    const proofs = [proof("ssh", "A")];
    const { verify, events } = open([], [driver("ssh", proofs), driver("github", [], true)]);
    expect(await verify()).toEqual(proofs);
    expect(events).toEqual([]);
  });

  test("blocks nothing before a signer is remembered, and warns about a wrong signature", async () => {
    const { verify, events } = open([], [driver("ssh", new VerificationError("it is wrong"))]);
    expect(await verify()).toEqual([]);
    expect(events).toEqual([
      {
        type: "warning",
        message: "Signature not verified",
        fields: { tag: "v1.0.0", reason: "it is wrong" },
      },
    ]);
  });

  test("mentions missing packages once, not as a warning", async () => {
    const missing = new VerificationError("not installed", { fault: "operator" });
    const { verify, events } = open([], [driver("sigstore", missing)]);
    await verify();
    await verify();
    expect(events.map(({ type }) => type)).toEqual(["driver"]);
  });

  test("lets the signer pass that is remembered", async () => {
    const { verify } = open([A], [driver("ssh", [proof("ssh", "A")])]);
    expect(await verify()).toEqual([proof("ssh", "A")]);
  });

  test("the next tag of a workflow has the same signer", async () => {
    const identity = {
      issuer: "https://token.actions.githubusercontent.com",
      subject: "https://github.com/o/r/.github/workflows/release.yml@refs/tags/v2",
      repository: "https://github.com/o/r",
    };
    const signer =
      "https://github.com/o/r/.github/workflows/release.yml,https://token.actions.githubusercontent.com";
    const proofs: Proof[] = [{ kind: "sigstore", evidence: "app.sigstore.json", identity }];
    const { verify } = open([{ kind: "sigstore", signer }], [driver("sigstore", proofs)]);
    expect(await verify()).toEqual(proofs);
  });

  test.each<[string, Outcome, string]>([
    [
      "a missing signature",
      [],
      'Cannot verify "app.tar.gz" of v1.0.0: it has no ssh signature, but earlier versions are signed by A',
    ],
    [
      "another signer",
      [proof("ssh", "B")],
      "it is signed by B, but earlier versions are signed by A",
    ],
    [
      "a wrong signature",
      new VerificationError("it is wrong"),
      "it is wrong, but earlier versions",
    ],
    ["packages that are gone", new VerificationError("x", { fault: "operator" }), "x, but earlier"],
    ["a file that cannot be read", new RemoteError("503"), "with ssh: 503, but earlier versions"],
  ])("blocks %s afterwards, and names the way out", async (_, outcome, message) => {
    const { verify } = open([A], [driver("ssh", outcome)]);
    const error = await verify().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(VerificationError);
    expect(error).toHaveProperty("message", expect.stringContaining(message));
    expect(error).toHaveProperty("message", expect.stringMatching(/dewy trust accept v1.0.0$/));
  });

  test("the signature of another kind does not replace the one that is remembered", async () => {
    const { verify } = open([A], [driver("ssh", []), driver("sigstore", [proof("sigstore", "A")])]);
    await expect(verify()).rejects.toThrow("it has no ssh signature");
  });

  test("every remembered signer must have signed", async () => {
    const signers = [A, { kind: "sigstore", signer: "C" } as const];
    const { verify } = open(signers, [driver("ssh", [proof("ssh", "A")]), driver("sigstore", [])]);
    await expect(verify()).rejects.toThrow("it has no sigstore signature");
  });

  test("lets an accepted version pass", async () => {
    const { verify } = open([A], [driver("ssh", [proof("ssh", "B")])], ["v1.0.0"]);
    expect(await verify()).toEqual([proof("ssh", "B")]);
  });

  test.each([new RemoteError("503"), new CredentialError("403")])(
    "a service that does not answer does not block: %s",
    async (error) => {
      const signers = [{ kind: "github", signer: "A" } as const];
      const { verify, events } = open(signers, [driver("github", error, true)]);
      expect(await verify()).toEqual([]);
      expect(events).toHaveLength(1);
    },
  );

  test("a service that has no attestation, or a wrong one, blocks", async () => {
    const signers = [{ kind: "github", signer: "A" } as const];
    for (const outcome of [[], new VerificationError("it is wrong")]) {
      await expect(open(signers, [driver("github", outcome, true)]).verify()).rejects.toThrow(
        "earlier versions are signed by A",
      );
    }
  });

  test("shows control characters of a certificate as escapes", async () => {
    const { verify } = open([A], [driver("ssh", [proof("ssh", "\u001b[2J")])]);
    await expect(verify()).rejects.toThrow("signed by \\x1b[2J, but");
  });
});
