/** The parts of platforms that examples/handler uses. */
declare module "cloudflare:workers" {
  import type { KvNamespace } from "dewy/cache";

  export const env: { GITHUB_TOKEN: string; VERSIONS: KvNamespace };
  export const waitUntil: (work: Promise<unknown>) => void;
}
