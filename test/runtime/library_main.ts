// Runs the library's checks in a process. Run by test/runtime/runtimes.test.ts.
import { libraryCase } from "./library_case.ts";
import { verifiedCase } from "./verified_case.ts";

console.log(JSON.stringify([...(await libraryCase()), ...(await verifiedCase())]));
