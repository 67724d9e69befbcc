// Runs the redirect check in a process. Run by test/runtime/credentials.test.ts.
import { env } from "node:process";
import { credentialsCase } from "./credentials_case.ts";

console.log(await credentialsCase(env.CASE ?? ""));
