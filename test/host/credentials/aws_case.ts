// Prints what the machine's own chain finds on this runtime.
import process from "node:process";
import { systemClock } from "../../../src/core/clock.ts";
import { lazyAwsCredentials } from "../../../src/host/credentials/aws.ts";

const ask = lazyAwsCredentials({ env: process.env, clock: systemClock, emit: () => {} });
console.log(JSON.stringify((await ask()) ?? null));
