// Prints the verdicts on SIGNED_RELEASE, by the hashes of the host and in JavaScript. Run by
// test/runtime/signatures.test.ts.
import { createHash } from "node:crypto";
import { minisign } from "../../src/verify/minisign/driver.ts";
import { openpgp } from "../../src/verify/openpgp/driver.ts";
import { ssh } from "../../src/verify/ssh/driver.ts";
import { signaturesCase } from "./signatures_case.ts";

const release = JSON.parse(process.env.SIGNED_RELEASE ?? "");
const drivers = [minisign, ssh, openpgp];
const verdicts = [
  await signaturesCase(drivers, release, createHash),
  await signaturesCase(drivers, release),
];
console.log(JSON.stringify(verdicts));
