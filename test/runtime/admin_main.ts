// Runs the checks of the admin API's server in a process. Run by test/host/admin_server.test.ts.
import { adminCase } from "./admin_case.ts";

console.log(JSON.stringify(await adminCase()));
