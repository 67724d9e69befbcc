import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { certificateAuthority, siteCertificate } from "../host/net/private_network.ts";
import { tempDirectory } from "../support/temp_directory.ts";

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
  const ca = await certificateAuthority("dewy test authority");
  const { cert, private: key } = await siteCertificate(ca);
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
