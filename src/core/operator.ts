/**
 * An operator's command line: the user who gave it, and their message.
 *
 * @module
 */

/** The user who gave a command, and their message. */
export interface Operator {
  /** The user's name, as the command sent it. */
  user: string;
  /** Why, in the operator's words. */
  message?: string | undefined;
}

/** `alice: "known to work"`, for logs and notifications. */
export function operatorText({ user, message }: Operator): string {
  return message === undefined ? user : `${user}: "${message}"`;
}

/** The user of what the rollout of a fleet has a host do. No account has such a name. */
export const FLEET_USER = "the fleet";
