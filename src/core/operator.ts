/** The user who gave a command, and their message. */
export interface Operator {
  user: string;
  message?: string | undefined;
}

/** `alice: "known to work"`, for logs and notifications. */
export function operatorText({ user, message }: Operator): string {
  return message === undefined ? user : `${user}: "${message}"`;
}
