import type { InstanceStatus } from "../../../src/control/protocol.ts";
import type { JournalEntry } from "../../../src/journal/entry.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type CliRuntime, cliRuntimes, type Dewy, startDewy } from "../dewy.ts";

/** The runtime of tests that run on one only. */
export const NODE: CliRuntime = cliRuntimes[0] as CliRuntime;

export interface Answer {
  code: number | string;
  stdout: string;
  stderr: string;
  /** Everything that was printed, for messages and for texts that may stand in either. */
  text: string;
}

/** A person at a shell of the machine, who gives commands without a word about where dewy runs. */
export interface Operator {
  /** The environment of instances that this operator shall find. */
  env: Readonly<Record<string, string>>;
  /** Runs a command until it ends. */
  run(...args: readonly string[]): Promise<Answer>;
  /** Starts a command. */
  begin(...args: readonly string[]): Pending;
  /** Runs a command that has to succeed, and returns what it printed. */
  succeed(...args: readonly string[]): Promise<string>;
  /** `dewy status --json` of the only instance. */
  status(...flags: readonly string[]): Promise<InstanceStatus>;
  /** `dewy history --json` of the only instance, everything. */
  history(...flags: readonly string[]): Promise<JournalEntry[]>;
}

export interface Pending {
  dewy: Dewy;
  /** What it printed so far, on both outputs. */
  text(): string;
  answer: Promise<Answer>;
}

/** Makes an operator with a runtime directory of their own, so that they find no other test's instances. */
export async function newOperator(runtime: CliRuntime = NODE, user = "alice"): Promise<Operator> {
  const [home, runtimeDirectory] = [await tempDirectory(), await tempDirectory()];
  const env = { DEWY_RUNTIME_DIR: runtimeDirectory };
  const begin: Operator["begin"] = (...args) => {
    const dewy = startDewy(runtime.command, args, { cwd: home, env: { ...env, SUDO_USER: user } });
    const text = (): string => `${dewy.stdout()}${dewy.stderr()}`;
    const answer = dewy.ended().then((code) => {
      return { code, stdout: dewy.stdout(), stderr: dewy.stderr(), text: text() };
    });
    return { dewy, text, answer };
  };
  const run: Operator["run"] = (...args) => begin(...args).answer;
  const succeed: Operator["succeed"] = async (...args) => {
    const { code, text, stdout } = await run(...args);
    if (code !== 0) throw new Error(`dewy ${args.join(" ")} exited with ${code}: ${text}`);
    return stdout;
  };
  return {
    env,
    run,
    begin,
    succeed,
    status: async (...flags) => {
      const { instances } = JSON.parse(await succeed("status", "--json", ...flags));
      if (instances.length !== 1) throw new Error(`${instances.length} instances instead of one`);
      return instances[0];
    },
    history: async (...flags) => {
      const text = await succeed("history", "--json", "--limit", "0", ...flags);
      return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    },
  };
}
