// Runs the checks of the admin server in a process. Run by test/admin/runtime.test.ts.
import { adminCase } from "./admin_case.ts";

console.log(JSON.stringify(await adminCase()));
