// Runs the checks of the webhook listener in a process. Run by test/webhook/runtime.test.ts.
import { webhookCase } from "./webhook_case.ts";

console.log(JSON.stringify(await webhookCase()));
