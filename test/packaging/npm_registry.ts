import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createHostFetch } from "../../src/host/net/fetch.ts";
import { run } from "../runtime/runtimes.ts";

export interface NpmRegistry {
  url: string;
  close(): Promise<void>;
}

/**
 * Serves a packed dewy as if it were published, and everything else from the package registry that
 * npm uses on this machine.
 */
export async function serveNpmRegistry(
  tarball: string,
  manifest: { name: string; version: string },
): Promise<NpmRegistry> {
  const { stdout } = await run("npm", ["config", "get", "registry"]);
  const upstream = stdout.trim().replace(/\/$/, "");
  const fetch = await createHostFetch({ env: process.env });
  const bytes = await readFile(tarball);
  const file = `/${manifest.name}/-/${manifest.name}-${manifest.version}.tgz`;

  const server = createServer(async (request, response) => {
    const path = request.url ?? "/";
    try {
      if (path === file) return response.end(bytes);
      if (path === `/${manifest.name}`) return response.end(JSON.stringify(packument()));
      const { accept = "*/*" } = request.headers;
      const answer = await fetch(`${upstream}${path}`, { headers: { accept } });
      const type = answer.headers.get("content-type") ?? "application/octet-stream";
      response.writeHead(answer.status, { "content-type": type });
      if (!type.includes("json")) return response.end(Buffer.from(await answer.arrayBuffer()));
      return response.end((await answer.text()).replaceAll(`${upstream}/`, `${url}/`));
    } catch (error) {
      return response.writeHead(502).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const packument = (): object => {
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    const dist = { tarball: `${url}${file}`, integrity };
    const { name, version } = manifest;
    return {
      name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
      time: { [version]: "2026-01-01T00:00:00.000Z" },
    };
  };

  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
