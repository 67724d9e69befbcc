interface UserChoice {
  /** The operator's `--user`. */
  given: string | undefined;
  /** The image's USER; empty for root. */
  image: string;
  /** dewy's own user and group; `undefined` if the system has none. */
  own: { uid: number; gid: number } | undefined;
}

/**
 * Returns the `--user` to add for an image that would run as root while dewy does not: dewy's own
 * user. The operator's `--user` and the image's USER take precedence.
 */
export function containerUser({ given, image, own }: UserChoice): string | undefined {
  const isRoot = /^(|0+|root)(:|$)/.test(image);
  if (given !== undefined || !isRoot || own === undefined || own.uid === 0) return undefined;
  return `${own.uid}:${own.gid}`;
}
