import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generate } from "selfsigned";
import { tempDirectory } from "../host/temp_directory.ts";

/** A certificate, as PEM and in files. */
export interface TestCertificate {
  cert: string;
  key: string;
  certFile: string;
  keyFile: string;
  /** The authority to trust. */
  caFile: string;
}

/** A certificate of 127.0.0.1 and localhost, by an authority that nobody trusts by itself. */
export async function makeCertificate(): Promise<TestCertificate> {
  const ca = await generate([{ name: "commonName", value: "dewy test authority" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }], {
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
  const directory = await tempDirectory();
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };
  return {
    cert,
    key,
    certFile: await write("cert.pem", cert),
    keyFile: await write("key.pem", key),
    caFile: await write("ca.pem", ca.cert),
  };
}
