import type { PortMapping } from "../../../src/container/options/ports.ts";
import { formatListenSpec } from "../../../src/host/sockets/listen_spec.ts";

/** Formats a mapping as `8080:3000` or `127.0.0.1:8080`. */
export function formatPortMapping({ listen, containerPort }: PortMapping): string {
  const address = formatListenSpec(listen);
  return containerPort === undefined ? address : `${address}:${containerPort}`;
}
