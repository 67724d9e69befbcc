// Prints the verdicts on SIGNED_RELEASE. Run by test/runtime/signatures.test.ts.
import { minisign } from "../../src/verify/minisign/driver.ts";
import { openpgp } from "../../src/verify/openpgp/driver.ts";
import { ssh } from "../../src/verify/ssh/driver.ts";
import { signaturesCase } from "./signatures_case.ts";

const release = JSON.parse(process.env.SIGNED_RELEASE ?? "");
console.log(JSON.stringify(await signaturesCase([minisign, ssh, openpgp], release)));
