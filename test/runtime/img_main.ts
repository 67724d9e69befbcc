// Runs the checks of an OCI registry in a process. Run by test/runtime/img.test.ts.
import process from "node:process";
import { imgCase } from "./img_case.ts";

const { BASE = "" } = process.env;
console.log(JSON.stringify(await imgCase(BASE)));
