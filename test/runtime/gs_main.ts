// Runs the checks of Google Cloud Storage in a process. Run by test/runtime/gs.test.ts.
import process from "node:process";
import { gsCase } from "./gs_case.ts";

const { BASE = "", KEY = "" } = process.env;
console.log(JSON.stringify(await gsCase(BASE, KEY)));
