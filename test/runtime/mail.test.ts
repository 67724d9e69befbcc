import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FakeSmtp, startSmtp } from "../fakes/smtp.ts";
import { certificateAuthority, siteCertificate } from "../host/net/private_network.ts";
import { runCase, runtimes } from "./runtimes.ts";

let directory = "";
let caFile = "";
let submission: FakeSmtp;
let smtps: FakeSmtp;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "dewy-mail-"));
  const ca = await certificateAuthority("mail CA");
  const site = await siteCertificate(ca);
  caFile = join(directory, "ca.pem");
  await writeFile(caFile, ca.cert);
  const tls = { key: site.private, cert: site.cert, accounts: { dewy: "correct horse" } };
  submission = await startSmtp(tls);
  smtps = await startSmtp({ ...tls, secure: true });
});
afterAll(async () => {
  await submission.close();
  await smtps.close();
  await rm(directory, { recursive: true });
});

test.each(runtimes)(
  "$name sends mail over STARTTLS and TLS, if it trusts the CA",
  async (runtime) => {
    const urls = [
      `smtp://dewy:correct%20horse@localhost:${submission.port}/a@x?from=f@x`,
      `smtps://dewy:correct%20horse@localhost:${smtps.port}/a@x?from=f@x`,
    ];
    const MAIL_URLS = urls.join(" ");
    const counts = () => [submission.mails.length, smtps.mails.length];
    const before = counts();
    const trusting = await runCase(runtime, "test/runtime/mail_main.ts", {
      MAIL_URLS,
      MAIL_CA_FILE: caFile,
    });
    expect(trusting).toEqual({ code: 0, stdout: "sent\nsent\n", stderr: "" });
    expect(counts()).toEqual(before.map((count) => count + 1));
    const distrusting = await runCase(runtime, "test/runtime/mail_main.ts", { MAIL_URLS });
    expect(distrusting.stdout).toMatch(
      /^(Cannot reach the mail server .* certificate is not trusted.*\n){2}$/,
    );
    expect(counts()).toEqual(before.map((count) => count + 1));
  },
);
