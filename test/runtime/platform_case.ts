// Prints the platform that this runtime sees. Run by test/host/platform.test.ts.
import { stdout } from "node:process";
import { hostPlatform } from "../../src/host/platform.ts";

stdout.write(`${JSON.stringify(hostPlatform())}\n`);
