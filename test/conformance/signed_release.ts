/** The public half of the key of the signature below. */
export const MINISIGN_KEY = "RWRHvK7M1D0c8SgYjiCaouQCfVL0e8ZI+Q1uejPjnSpQWeoWVNyVppIq";

/** A release, signed by `minisign -S -m app_linux_amd64.tar.gz -t tag:v1.1.0`. */
export const SIGNED_FILES: Readonly<Record<string, string>> = {
  "app_linux_amd64.tar.gz": "bytes",
  SHA256SUMS:
    "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9  app_linux_amd64.tar.gz\n",
  "app_linux_amd64.tar.gz.minisig": `untrusted comment: signature from minisign secret key
RURHvK7M1D0c8SHf22kzYkb1PrkLai2nhvZasJaCxJKumKgPa6qBMRGmbj29PBwukQXvreDFeGZO0WOAuWLViLVm8ZCbZEnB0Aw=
trusted comment: tag:v1.1.0
SVpsN/PiG/40Lp1e+n4IW69zYENptzlaKW8uHSZh/+rqTAHn8ur7G0WaTqbdCepycvrQleciyeaGNbVerxGcDA==
`,
};
