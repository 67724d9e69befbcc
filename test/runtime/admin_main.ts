// Runs the checks of the admin API's server in a process. Run by
// test/container/admin/server.test.ts.
import { adminCase } from "./admin_case.ts";

console.log(JSON.stringify(await adminCase()));
