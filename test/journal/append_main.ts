// Appends numbered entries one by one, in a process. Run by test/journal/file.test.ts.
import { entryLine } from "../../src/journal/entry.ts";
import { journalFile } from "../../src/journal/file.ts";

const [root = "", name = "", count = "", maxBytes = ""] = process.argv.slice(2);
const file = journalFile(root, Number(maxBytes));
for (let number = 0; number < Number(count); number++) {
  const at = new Date().toISOString();
  await file.append(
    [entryLine({ at, event: "deployed", tag: `${name}${number}`, reason: "x".repeat(50) })],
    false,
    () => {},
  );
}
