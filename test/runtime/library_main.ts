// Runs the library's checks in a process. Run by test/runtime/runtimes.test.ts.
import { libraryCase } from "./library_case.ts";

console.log(JSON.stringify(await libraryCase()));
