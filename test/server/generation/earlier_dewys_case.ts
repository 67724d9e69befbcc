/** A dewy that looks for what an earlier one of the directory in `DEWY_ROOT` has left, and says what it finds. */
import { GenerationMembers } from "../../../src/server/generation/members.ts";

const members = new GenerationMembers(process.env.DEWY_ROOT ?? "");
console.log(JSON.stringify([...(await members.ofEarlierDewys()).keys()]));
