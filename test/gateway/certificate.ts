import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generate } from "selfsigned";
import { tempDirectory } from "../host/temp_directory.ts";

/** A certificate of 127.0.0.1 and localhost that nobody trusts by itself. */
export async function makeCertificate(): Promise<{
  cert: string;
  key: string;
  certFile: string;
  keyFile: string;
}> {
  const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true },
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
  const [certFile, keyFile] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  await writeFile(certFile, cert);
  await writeFile(keyFile, key);
  return { cert, key, certFile, keyFile };
}
