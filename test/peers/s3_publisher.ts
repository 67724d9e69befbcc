import type { AwsCredentials } from "../../src/auth/aws_credentials.ts";
import { systemClock } from "../../src/core/clock.ts";
import { createHttpClient } from "../../src/http/client.ts";
import { objectAddress, type S3Bucket } from "../../src/registries/s3/address.ts";
import { createS3Client, type S3Client, s3Signer } from "../../src/registries/s3/client.ts";

/** Requests to an S3 server that only tests send. */
export interface S3Publisher {
  /** Creates a bucket and returns dewy's client for it. */
  createBucket(name: string): Promise<S3Client>;
  /**
   * Sends a request that dewy's client does not support: DELETE, or an object with extra headers.
   */
  send(
    method: string,
    bucket: string,
    key: string,
    headers?: Readonly<Record<string, string>>,
    body?: Uint8Array<ArrayBuffer>,
  ): Promise<void>;
}

/** Publishes on an S3 server as a user with all permissions. */
export function s3Publisher(at: Omit<S3Bucket, "bucket">, user: AwsCredentials): S3Publisher {
  const io = { fetch: globalThis.fetch, clock: systemClock, emit: () => {} };
  return {
    async createBucket(bucket) {
      const client = createS3Client(
        { ...at, bucket },
        { ...io, env: {}, awsCredentials: async () => user },
      );
      // A bucket is an object without a key.
      await client.put("", "", "text/plain");
      return client;
    },
    async send(method, bucket, key, headers = {}, body) {
      await createHttpClient(io).send({
        method,
        url: objectAddress({ ...at, bucket }, key),
        headers,
        sign: s3Signer(at.region, async () => user, systemClock),
        ...(body === undefined ? {} : { body }),
      });
    },
  };
}
