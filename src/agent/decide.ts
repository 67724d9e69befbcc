import type { SteerCommand } from "../control/protocol.ts";
import { type Operator, operatorText } from "../core/operator.ts";
import { pause, pinTo, resume, skip, skippedBy, unpin, unskip } from "../deploy/decisions.ts";
import type { DeployState } from "../deploy/state.ts";
import { acceptTag } from "../deploy/trust.ts";

/** A command that only changes what may come by itself. */
export type DecisionCommand = Extract<
  SteerCommand,
  { command: "pin" | "unpin" | "pause" | "resume" | "skip" | "unskip" | "trust accept" }
>;

export interface DecisionContext {
  operator: Operator;
  now: number;
  calver: string;
  /** The tag of the live version. */
  live: string | undefined;
}

const DECISIONS: readonly string[] = [
  "pin",
  "unpin",
  "pause",
  "resume",
  "skip",
  "unskip",
  "trust accept",
];

export function isDecision(command: SteerCommand): command is DecisionCommand {
  return DECISIONS.includes(command.command);
}

/** Returns the state after a command, and the answer: what was and what is. */
export function decide(
  command: DecisionCommand,
  state: DeployState,
  context: DecisionContext,
): { state: DeployState; text: string } {
  const { operator, now, calver, live = "no version" } = context;
  switch (command.command) {
    case "pin": {
      const { tag } = command;
      const next = pinTo(state, tag, operator, { now, calver });
      return { state: withoutContrary(next, tag), text: pinText(state, next, tag) };
    }
    case "unpin": {
      const { pinned } = state;
      const text =
        pinned === undefined
          ? "nothing is pinned"
          : `unpinned; it was pinned to ${pinned.tag} by ${operatorText(pinned)}`;
      return { state: unpin(state), text };
    }
    case "pause": {
      const { paused } = state;
      const text =
        paused === undefined
          ? `paused; ${live} stays until dewy resume`
          : `already paused by ${operatorText(paused)}; dewy resume ends it`;
      return { state: pause(state, operator, now), text };
    }
    case "resume": {
      const { paused } = state;
      const text =
        paused === undefined ? "not paused" : `resumed; it was paused by ${operatorText(paused)}`;
      return { state: resume(state), text };
    }
    case "skip": {
      const { tag } = command;
      const next = skip(state, tag, operator, now);
      const stays = tag === live ? `; it is live and stays` : "";
      const text =
        next === state
          ? `${tag} is skipped already`
          : `${tag} is skipped: dewy does not deploy it automatically`;
      return { state: next, text: `${text}${stays}` };
    }
    case "unskip":
      return { state: unskip(state, command.tag), text: unskipText(state, command.tag, calver) };
    case "trust accept": {
      const { tag } = command;
      const text = `${tag} is accepted with any signer or none; later versions must have its signers, if it has any`;
      return { state: acceptTag(state, tag, operator, now), text };
    }
  }
}

/** An order that is still on record for another version would leave the pin right after it. */
function withoutContrary(state: DeployState, pinned: string): DeployState {
  const { order, ...rest } = state;
  return order !== undefined && "tag" in order && order.tag !== pinned ? rest : state;
}

function pinText({ pinned }: DeployState, next: DeployState, tag: string): string {
  if (next.pinned === pinned) return `pinned to ${tag} already`;
  const before = pinned === undefined ? "" : `; it was pinned to ${pinned.tag} by ${pinned.user}`;
  return `pinned to ${tag}${before}`;
}

function unskipText(state: DeployState, tag: string | undefined, calver: string): string {
  const { skipped = [] } = state;
  if (skipped.length === 0) return "nothing is skipped";
  if (tag === undefined) return `no longer skipped: ${skipped.map(skippedName).join(", ")}`;
  const after = unskip(state, tag);
  const covering = skippedBy(after, tag, calver);
  if (covering !== undefined) {
    return (
      `${tag} is skipped with every version up to ${covering.tag}, by ${operatorText(covering)}; ` +
      `to lift that: dewy unskip ${covering.tag}`
    );
  }
  return after === state ? `${tag} is not skipped` : `${tag} is no longer skipped`;
}

function skippedName({ tag, andEarlier }: { tag: string; andEarlier?: true | undefined }): string {
  return andEarlier ? `${tag} and earlier` : tag;
}
