/** A server that a proxy sends connections to. */
export interface Backend {
  /** An IP address or a host name. */
  readonly host: string;
  readonly port: number;
  /** A generation or container: distinguishes servers that had the same address. */
  readonly name?: string;
}

/** Equal for equal backends. */
export function backendKey({ host, port, name }: Backend): string {
  return JSON.stringify([host, port, name ?? ""]);
}

/** Formats a backend for messages: `web-2 (127.0.0.1:8080)`. */
export function backendText({ host, port, name }: Backend): string {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return name === undefined ? address : `${name} (${address})`;
}
