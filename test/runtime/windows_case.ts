// Prints when windows open next, in milliseconds. Run by test/cli/flags/windows.test.ts.
import { env, stdout } from "node:process";
import { compileWindows } from "../../src/cli/flags/windows.ts";

const { now, texts }: { now: number; texts: string[] } = JSON.parse(env.WINDOWS ?? "");
const windows = await Promise.all(texts.map((text) => compileWindows([text])));
stdout.write(JSON.stringify(windows.map((one) => one?.opensAt(now))));
