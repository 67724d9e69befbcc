import { afterAll, beforeAll, describe } from "vitest";
import { cacheContract } from "../../contract/cache.ts";
import { missingRadosgw, type Radosgw, startRadosgw } from "../../peers/radosgw.ts";
import { cacheAt } from "../context.ts";

const missing = missingRadosgw();

describe.skipIf(missing !== undefined)(
  `radosgw${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let gateway: Radosgw;
    let buckets = 0;
    beforeAll(async () => {
      gateway = await startRadosgw();
    });
    afterAll(() => gateway?.stop());

    cacheContract("s3 (radosgw)", {
      atomic: true,
      async open() {
        const bucket = `cache-${++buckets}`;
        await gateway.createBucket(bucket);
        return cacheAt(`s3://default/${bucket}/team/app`, { env: gateway.env });
      },
    });
  },
);
