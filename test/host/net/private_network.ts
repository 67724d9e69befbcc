import { mkdtemp, rm, writeFile } from "node:fs/promises";
import {
  createServer as createHttpServer,
  request as forward,
  type RequestListener,
  type Server,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";

/** A site with a certificate of a private CA, a plain one, and a proxy. All on loopback. */
export interface PrivateNetwork {
  /** `https://localhost:<port>/`. */
  tlsUrl: string;
  /** `http://127.0.0.1:<port>/`. */
  plainUrl: string;
  /** The CA of {@link tlsUrl}, as a PEM file. */
  caFile: string;
  /** An unrelated CA, as a PEM file. */
  otherCaFile: string;
  /** A directory for more files. */
  directory: string;
  /** `127.0.0.1:<port>` of the proxy. */
  proxy: string;
  /** The proxy's requests since the last call: `CONNECT host:port`, `GET url`, with credentials. */
  takeProxied(): string[];
  /** Stops everything. */
  close(): Promise<void>;
}

/** Answers `hello`, or the body of a POST. */
const greet: RequestListener = (request, response) => {
  if (request.method === "POST") request.pipe(response);
  else response.end(`hello ${request.headers.accept}`);
};

/**
 * Starts the private network.
 *
 * @param answer what both sites do.
 * @returns its addresses.
 */
export async function startPrivateNetwork(
  answer: RequestListener = greet,
): Promise<PrivateNetwork> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-network-"));
  const ca = await certificateAuthority("dewy test CA");
  const other = await certificateAuthority("another CA");
  const site = await siteCertificate(ca);
  const caFile = join(directory, "ca.pem");
  const otherCaFile = join(directory, "other.pem");
  await writeFile(caFile, ca.cert);
  await writeFile(otherCaFile, other.cert);

  const tls = createHttpsServer({ key: site.private, cert: site.cert }, answer);
  const plain = createHttpServer(answer);
  const { server: proxy, takeProxied } = createProxy();
  const servers = [tls, plain, proxy];
  const [tlsPort, plainPort, proxyPort] = await Promise.all(servers.map(listen));
  return {
    tlsUrl: `https://localhost:${tlsPort}/`,
    plainUrl: `http://127.0.0.1:${plainPort}/`,
    caFile,
    otherCaFile,
    directory,
    proxy: `127.0.0.1:${proxyPort}`,
    takeProxied,
    async close() {
      await Promise.all(servers.map(stop));
      await rm(directory, { recursive: true });
    },
  };
}

type Pem = Awaited<ReturnType<typeof generate>>;

/** A private authority. */
export function certificateAuthority(commonName: string): Promise<Pem> {
  return generate([{ name: "commonName", value: commonName }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
}

/** A certificate of 127.0.0.1 and localhost. */
export function siteCertificate(ca: Pem): Promise<Pem> {
  return generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    algorithm: "sha256",
    ca: { key: ca.private, cert: ca.cert },
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "keyUsage", digitalSignature: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 7, ip: "127.0.0.1" },
        ],
      },
    ],
  });
}

function createProxy(): { server: Server; takeProxied: () => string[] } {
  let proxied: string[] = [];
  const note = (method: string | undefined, target: string, authorization = ""): void => {
    proxied.push(`${method} ${target} ${authorization}`.trim());
  };
  const server = createHttpServer((request, response) => {
    const target = request.url ?? "";
    note(request.method, target, request.headers["proxy-authorization"]);
    const { method = "GET", headers } = request;
    const onward = forward(target, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, socket, head) => {
    const target = request.url ?? "";
    note("CONNECT", target, request.headers["proxy-authorization"]);
    const { hostname, port } = new URL(`http://${target}`);
    const onward = connect(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  const takeProxied = (): string[] => {
    const taken = proxied;
    proxied = [];
    return taken;
  };
  return { server, takeProxied };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
