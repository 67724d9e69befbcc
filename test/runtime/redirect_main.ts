// Runs the redirect checks in a process. Run by test/runtime/redirect.test.ts.
import process from "node:process";
import { redirectCase } from "./redirect_case.ts";

const { HERE = "", THERE = "" } = process.env;
console.log(JSON.stringify(await redirectCase(globalThis.fetch, HERE, THERE)));
