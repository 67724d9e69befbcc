// Runs the checks of followJournal in a process. Run by test/journal/follow.test.ts.
import { followCase } from "./follow_case.ts";

console.log(JSON.stringify(await followCase()));
