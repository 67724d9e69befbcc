/** A server that a proxy sends connections to. */
export interface Backend {
  /** An IP address, or a name that the system resolves. */
  readonly host: string;
  /** The TCP port. */
  readonly port: number;
  /**
   * Tells two servers apart that had the same address one after the other, and names the server in messages: a
   * generation, a container.
   */
  readonly name?: string;
}

/**
 * Tells whether two backends are the same one.
 *
 * @param backend the backend.
 * @returns a text that is equal for equal backends.
 */
export function backendKey({ host, port, name }: Backend): string {
  return JSON.stringify([host, port, name ?? ""]);
}

/**
 * Writes a backend for people.
 *
 * @param backend the backend.
 * @returns its name, when it has one, and its address, such as `web-2 (127.0.0.1:8080)`.
 */
export function backendText({ host, port, name }: Backend): string {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return name === undefined ? address : `${name} (${address})`;
}
