import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tempDirectory } from "../support/temp_directory.ts";
import { notifierContract } from "./notifier.ts";

/** Counts its runs, and then does what the file `how` says. */
const SCRIPT = `
id=$DEWY_NOTIFICATION
mktemp attempt.XXXXXX > /dev/null
case $(cat how) in
  slow) sleep 100 ;;
  fine) cat > "new.$id" && mv "new.$id" "message.$id" ;;
  *) exit 1 ;;
esac
`;

notifierContract("exec", {
  async setup() {
    const directory = await tempDirectory();
    await writeFile(join(directory, "how"), "fine");
    const named = (start: string): readonly string[] =>
      readdirSync(directory).filter((name) => name.startsWith(start));
    const numberOf = (name: string): number => Number(name.replace(/\D+/, ""));
    return {
      url: `exec:cd ${directory}; ${SCRIPT}`,
      context: {
        programEnv: { PATH: process.env.PATH },
      },
      secrets: ["mktemp"],
      behave: (how) => writeFileSync(join(directory, "how"), how),
      attempts: () => named("attempt.").length,
      arrived: async () =>
        [...named("message.")]
          .sort((one, other) => numberOf(one) - numberOf(other))
          .map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")))
          .map(({ host, text, entry }) => [host, text, ...Object.values(entry)].join("\n")),
    };
  },
  skip: {
    quiet: "the command decides",
    busy: "a command cannot say for how long",
    denied: "an exit code has no meaning",
    refusing: "an exit code has no meaning",
  },
});
