export interface Backend {
  /** An IP address or a host name. */
  readonly host: string;
  readonly port: number;
  /** A generation or container: distinguishes servers that had the same address. */
  readonly name?: string;
}

export function backendKey({ host, port, name }: Backend): string {
  return JSON.stringify([host, port, name ?? ""]);
}

/** For messages: `web-2 (127.0.0.1:8080)`. */
export function backendText({ host, port, name }: Backend): string {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return name === undefined ? address : `${name} (${address})`;
}
